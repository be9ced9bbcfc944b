"""Throttled updates of an answer that is being written."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from adapters.shared.throttled_updates import ThrottledUpdates
from bot.errors import PlaceGone, PlatformBusy, PlatformUnreachable
from tests.support.wait import wait_until

AN_HOUR_S = 3600.0


class Screen:
    """Records the texts it is asked to show; `failures` are raised first, `gate` holds an update back."""

    def __init__(self, *failures: Exception) -> None:
        self.texts: list[str] = []
        self.failures = list(failures)
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = 0
        self.most_at_once = 0

    async def show(self, text: str) -> bool:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self.gate.wait()
            if self.failures:
                raise self.failures.pop(0)
            if text:
                self.texts.append(text)
            return bool(text)
        finally:
            self.running -= 1


async def test_the_newest_text_wins_over_pieces_that_came_during_an_update() -> None:
    screen = Screen()
    screen.gate.clear()
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0)
    updates.add("a")
    await wait_until(lambda: screen.running)
    for piece in "bcd":
        updates.add(piece)
    screen.gate.set()
    await wait_until(lambda: len(screen.texts) == 2)
    await updates.end()
    assert screen.texts == ["a", "abcd"]
    assert screen.most_at_once == 1


async def test_a_second_update_waits_for_the_pace() -> None:
    screen = Screen()
    updates = ThrottledUpdates(screen.show, pace_s=lambda: AN_HOUR_S)
    updates.add("a")
    await wait_until(lambda: screen.texts)
    updates.add("b")
    await updates.end()
    assert screen.texts == ["a"]


async def test_nothing_shown_takes_no_pause() -> None:
    screen = Screen()
    updates = ThrottledUpdates(screen.show, pace_s=lambda: AN_HOUR_S)
    updates.start()
    await asyncio.sleep(0)
    updates.add("a")
    await wait_until(lambda: screen.texts == ["a"])
    await updates.end()


async def test_the_first_update_waits_for_first_s() -> None:
    screen = Screen()
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0, first_s=AN_HOUR_S)
    updates.add("a")
    await updates.end()
    assert screen.texts == []


async def test_the_same_text_is_shown_again_after_repeat_s() -> None:
    screen = Screen()
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0, repeat_s=0.01)
    updates.add("a")
    await wait_until(lambda: len(screen.texts) > 2)
    await updates.end()
    assert set(screen.texts) == {"a"}


async def test_a_failed_update_is_repeated_with_the_newest_text() -> None:
    screen = Screen(PlatformUnreachable("no line"))
    screen.gate.clear()
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0, retry_s=0)
    with capture_logs() as logs:
        updates.add("a")
        await wait_until(lambda: screen.running)
        updates.add("b")
        screen.gate.set()
        await wait_until(lambda: screen.texts)
        await updates.end()
    assert screen.texts == ["ab"]
    assert [entry["error"] for entry in logs] == ["no line"]


async def test_a_busy_platform_is_left_alone_for_as_long_as_it_asks() -> None:
    screen = Screen(PlatformBusy("flood", retry_after_s=AN_HOUR_S))
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0, retry_s=0)
    updates.add("a")
    await wait_until(lambda: not screen.failures)
    updates.add("b")
    await updates.end()
    assert screen.texts == []


async def test_a_place_that_is_gone_ends_the_updates() -> None:
    screen = Screen(PlaceGone("kicked"))
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0, retry_s=0)
    updates.add("a")
    await wait_until(lambda: updates.is_ended)
    updates.add("b")
    await updates.end()
    assert screen.texts == []


async def test_end_waits_for_the_update_in_flight_and_begins_no_other() -> None:
    screen = Screen()
    screen.gate.clear()
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0)
    updates.add("a")
    await wait_until(lambda: screen.running)
    updates.add("b")
    ending = asyncio.create_task(updates.end())
    await wait_until(lambda: updates.is_ended)
    assert not ending.done()
    screen.gate.set()
    await ending
    updates.add("c")
    await updates.end()
    assert screen.texts == ["a"]


async def test_end_after_a_cancelled_end_still_waits_for_the_update_in_flight() -> None:
    screen = Screen()
    screen.gate.clear()
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0)
    updates.add("a")
    await wait_until(lambda: screen.running)
    ending = asyncio.create_task(updates.end())
    await wait_until(lambda: updates.is_ended)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    screen.gate.set()
    await updates.end()
    assert screen.texts == ["a"]


async def test_an_unexpected_error_is_logged_when_the_updates_end() -> None:
    screen = Screen(ValueError("a bug"))
    updates = ThrottledUpdates(screen.show, pace_s=lambda: 0, name="preview")
    with capture_logs() as logs:
        updates.add("a")
        await wait_until(lambda: not screen.failures)
        await updates.end()
    assert [(entry["log_level"], entry["task"], entry["error"]) for entry in logs] == [
        ("error", "preview", "ValueError('a bug')")
    ]
