"""Lines read through a pipe."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.console.pipes import StandardStreams
from tests.adapters.console.harness import unhurried


async def read_through_pipe(data: bytes, chunks: int = 1) -> list[str]:
    reading, writing = os.pipe()
    try:

        async def feed() -> None:
            size = max(1, -(-len(data) // chunks))
            for at in range(0, len(data), size):
                os.write(writing, data[at : at + size])
                await asyncio.sleep(0)
            os.close(writing)

        feeding = asyncio.create_task(feed())
        found = [line async for line in StandardStreams(reading, None, None).read_lines()]
        await feeding
        return found
    finally:
        os.close(reading)


@unhurried
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.integers(1, 20))
def test_lines_are_the_same_however_they_arrive(text: str, chunks: int) -> None:
    expected = [line.removesuffix("\r") for line in text.split("\n")]
    assert asyncio.run(read_through_pipe(text.encode(), chunks)) == expected


async def test_a_wait_for_a_line_can_be_cancelled() -> None:
    reading, writing = os.pipe()
    lines = StandardStreams(reading, None, None).read_lines()
    waiting = asyncio.create_task(anext(lines))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    os.close(reading)
    os.close(writing)
