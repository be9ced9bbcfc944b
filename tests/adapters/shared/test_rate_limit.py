"""Lanes and priorities of rate limits."""

from __future__ import annotations

from adapters.shared.rate_limit import MARGIN_S, Lane


def test_a_lane_spaces_its_calls() -> None:
    lane = Lane(every_s=2)
    assert lane.ready_at() <= 10
    lane.count(10)
    assert lane.ready_at() == 12
    lane.count(11)
    assert lane.ready_at() == 14
    assert not lane.is_idle(13)
    assert lane.is_idle(14)


def test_a_burst_may_run_ahead_of_the_average() -> None:
    lane = Lane(every_s=2, burst_s=5)
    for _ in range(3):
        lane.count(10)
    assert lane.ready_at() == 11


def test_a_longer_pause_that_already_runs_stays() -> None:
    lane = Lane()
    lane.pause(10, for_s=30)
    lane.pause(11, for_s=1)
    assert lane.ready_at() == 40 + MARGIN_S
    assert not lane.is_idle(40)
