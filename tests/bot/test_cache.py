"""Throttle, counter of repeats, and cache: each bounded, each key for itself."""

from __future__ import annotations

from bot.cache import RepeatCounter, Throttle, TTLCache


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_throttle_allows_each_key_once_in_its_interval() -> None:
    clock = Clock()
    throttle = Throttle(60, timer=clock)
    assert throttle.allow("C1")
    assert not throttle.allow("C1")
    assert throttle.allow("C2")
    clock.now_s = 59
    assert not throttle.allow("C1")
    clock.now_s = 60
    assert throttle.allow("C1")
    assert not throttle.allow("C1")


def test_a_refused_action_does_not_lengthen_the_interval() -> None:
    clock = Clock()
    throttle = Throttle(60, timer=clock)
    assert throttle.allow("C1")
    for clock.now_s in (20, 40, 59):
        assert not throttle.allow("C1")
    clock.now_s = 61
    assert throttle.allow("C1")


def test_a_throttle_remembers_at_most_max_keys() -> None:
    throttle = Throttle(60, max_keys=2, timer=Clock())
    assert all(throttle.allow(key) for key in ("a", "b", "c"))
    assert not throttle.allow("c")
    assert throttle.allow("a")


def test_a_cache_drops_what_was_used_least_recently_and_what_is_old() -> None:
    clock = Clock()
    cache: TTLCache[str, int] = TTLCache(2, 60, clock)
    cache["a"], cache["b"] = 1, 2
    assert cache["a"] == 1
    cache["c"] = 3
    assert dict(cache) == {"a": 1, "c": 3}
    clock.now_s = 60
    assert len(cache) == 0
    assert cache.get("a") is None


def test_repeats_are_reported_at_once_and_then_together() -> None:
    clock = Clock()
    repeats = RepeatCounter(60, timer=clock)
    assert repeats.count("a") == 1
    assert [repeats.count("a") for _ in range(5)] == [0] * 5
    assert repeats.count("b") == 1
    clock.now_s = 60
    assert repeats.count("a") == 6
    assert repeats.count("a") == 0
