"""Tracing bench: cost of a turn with LangSmith on, over the same turn with it off.

CPU time at 20 remembered messages, in blocks of turns by turns: once of the event loop's thread alone (which
other turns wait for), once of the whole process, the thread that sends included, until everything is sent.
LangSmith and the model are servers on loopback in other processes. No promise.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

from bot.ports import Tracer
from bot.settings import Settings
from bot.tracing import build_tracer
from tests.bench.tables import Table, number
from tests.bench.turn_harness import TurnHarness, open_turn_harness, process

MESSAGES = 20
BLOCKS, TURNS_A_BLOCK = 10, 10


async def measure() -> Table:
    async with process("tests.fakes.langsmith_server") as langsmith, open_turn_harness() as harness:
        await harness.prepare(MESSAGES // 2)
        common = {"redis_url": "redis://unused", "langsmith_api_key": "none"}
        off = Settings.load(**common, langsmith_tracing=False)
        on = Settings.load(**common, langsmith_tracing=True, langsmith_endpoint=langsmith)
        times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for round_ in range(BLOCKS + 1):
            for settings in (off, on):
                took = await block(harness, build_tracer(settings))
                if round_:  # the first one warms up
                    times[settings.langsmith_tracing].append(took)
    medians = {
        is_on: [1000 * statistics.median(found) for found in zip(*took, strict=True)]
        for is_on, took in times.items()
    }
    rows = [
        (name, *(f"{medians[is_on][at]:.2f} ms" for is_on in (False, True)),
         f"{number(medians[True][at] / medians[False][at])}x")
        for at, name in enumerate(("event loop", "whole process"))
    ]  # fmt: skip
    title = f"Tracing: CPU time of a turn at {MESSAGES} messages"
    return Table(title, ("", "off", "on", "over"), rows)


async def block(harness: TurnHarness, tracer: Tracer) -> tuple[float, float]:
    """Seconds of CPU a turn: of this thread, of the process."""
    handler = harness.handler(tracer)
    turns = MESSAGES // 2
    in_loop = in_all = 0.0
    for _ in range(TURNS_A_BLOCK):
        await harness.restore(turns)
        loop_began, all_began = time.thread_time(), time.process_time()
        await harness.answer(handler, turns)
        in_loop += time.thread_time() - loop_began
        in_all += time.process_time() - all_began
    all_began = time.process_time()
    await tracer.aclose()
    in_all += time.process_time() - all_began
    return in_loop / TURNS_A_BLOCK, in_all / TURNS_A_BLOCK


def tables() -> Iterator[Table]:
    yield asyncio.run(measure())
