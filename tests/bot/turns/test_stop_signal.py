"""Stop signal: work that it ends, and work that it does not."""

from __future__ import annotations

import asyncio

import pytest

from bot.turns.stop_signal import StopSignal


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("ended")


async def test_a_stop_during_the_work_ends_it_before_the_call_returns() -> None:
    stop, ended = StopSignal(), list[str]()
    running = asyncio.create_task(stop.run_until_stopped(forever(ended)))
    await asyncio.sleep(0)
    stop.request()
    assert await running is None
    assert ended == ["ended"]


async def test_a_stop_before_the_work_never_starts_it() -> None:
    stop, ended = StopSignal(), list[str]()
    stop.request()
    assert await stop.run_until_stopped(forever(ended)) is None
    assert ended == []


async def test_work_without_a_stop_gives_its_result_or_its_error() -> None:
    async def divide(number: int) -> int:
        return 6 // number

    stop = StopSignal()
    assert await stop.run_until_stopped(divide(2)) == 3
    with pytest.raises(ZeroDivisionError):
        await stop.run_until_stopped(divide(0))


async def test_a_cancelled_caller_ends_the_work_and_is_cancelled() -> None:
    stop, ended = StopSignal(), list[str]()
    running = asyncio.create_task(stop.run_until_stopped(forever(ended)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == ["ended"]
