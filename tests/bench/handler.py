"""Handler bench: cost of a whole turn over a bare `ChatOpenAI.astream` with the same messages.

The CPU time of this process (all its threads) for read, model and append, over that of the model's call
alone. The model is a server on loopback in another process that answers without delay in about 20 pieces;
nothing is traced; the reply discards the answer. Both are measured in turns, and the figure is the ratio of medians.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial

from langchain_core.messages import BaseMessage
from langchain_openai import ChatOpenAI

from bot.model.chat import to_langchain
from bot.tracing.noop import NoopTracer
from tests.bench.tables import Promise, Table, number
from tests.bench.turn_harness import API_KEY, MODEL, open_turn_harness

LIMITS = {20: 1.15, 400: 0.5}
"""Remembered messages, and the highest ratio allowed."""

ROUNDS = {20: 120, 400: 40}
WARM_UP = 5

Work = Callable[[], Awaitable[None]]


async def measure() -> Table:
    rows, promises = [], []
    async with open_turn_harness() as harness:
        handler = harness.handler(NoopTracer())
        chat = ChatOpenAI(
            model=MODEL, api_key=API_KEY, base_url=harness.model_url, stream_usage=True
        )
        for messages, limit in LIMITS.items():
            turns = messages // 2
            prompt = await harness.prepare(turns)
            works = {
                "turn": partial(harness.answer, handler, turns),
                "bare": partial(bare, chat, to_langchain(prompt.messages)),
            }
            took = await compare(works, ROUNDS[messages], before=partial(harness.restore, turns))
            over = took["turn"] / took["bare"]
            cells = (f"{took['turn']:.2f} ms", f"{took['bare']:.2f} ms", f"{number(over)}x")
            rows.append((f"{messages} messages", *cells))
            promises.append(Promise(f"whole turn over bare, {messages} messages", over, limit))
        await chat.root_async_client.close()
    return Table(
        "Handler: CPU time of a whole turn, and of a bare ChatOpenAI.astream",
        ("", "whole turn", "bare", "over"),
        rows,
        promises,
    )


async def bare(chat: ChatOpenAI, messages: list[BaseMessage]) -> None:
    text = ""
    async for chunk in chat.astream(messages):
        text += chunk.text
    assert text


async def compare(works: Mapping[str, Work], rounds: int, *, before: Work) -> dict[str, float]:
    """Milliseconds of CPU of each, measured in turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(WARM_UP + rounds):
        for name, work in works.items():
            await before()
            began = time.process_time()
            await work()
            took = time.process_time() - began
            if round_ >= WARM_UP:
                times[name].append(took)
    return {name: 1000 * statistics.median(found) for name, found in times.items()}


def tables() -> Iterator[Table]:
    yield asyncio.run(measure())
