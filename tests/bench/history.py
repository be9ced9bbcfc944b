"""Memory bench: cost of reading a conversation and appending one turn, as conversations grow.

All contenders work on the same server with the same texts, in turns, so that a busy machine is busy for
all; the figure is the median of the wall time of one read and one append. Ours reads the newest 10 turns,
whatever the length; what a longer window costs is in a table of its own. The others read everything, since
that is what they do.

langchain-redis and LangGraph's checkpointers need Redis modules, which the extra `bench` brings for Linux
on x86-64. Elsewhere langchain_community's class stands in for them.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterator
from operator import itemgetter

from redis.asyncio import Redis

from bot.memory.history import RedisHistory
from bot.ports import TurnWrite
from tests.bench.other_histories import HistoryStore, modules_server, with_modules, without_modules
from tests.bench.prefill import TTL, fill, size_of
from tests.bench.sample_conversation import SampleConversation
from tests.bench.tables import Promise, Table, number
from tests.faults.servers import DurableRedis

TURNS = (10, 100, 1_000, 10_000)
OUR_TURNS = (*TURNS, 100_000)
WINDOWS = (10, 40, 200)
WINDOW = 10
ROUNDS = 150
MAX_S = 3.0
"""A contender that needs longer for its rounds at one length gets fewer of them, but at least one."""

GROWTH_AT_MOST = 1.2
OTHERS_AT_LEAST = 30


class Keepthread:
    """The product's history, through its port."""

    name = "Keepthread"

    def __init__(self, client: Redis, prefix: str = "history", window: int = WINDOW) -> None:
        self._client = client
        self._prefix = prefix
        self._window = window
        self._history = RedisHistory(client, prefix, TTL)

    async def fill(self, turns: int) -> None:
        talk = _talk(turns)
        await fill(self._client, self._prefix, talk, turns, window=self._window)
        for at in range(turns, turns + ROUNDS):
            size_of(talk.answered(at))  # made and counted now, not while it is measured

    async def turn(self, turns: int) -> None:
        talk = _talk(turns)
        past = await self._history.read(talk.session)
        assert len(past.window) == self._window
        turn = talk.answered(past.next_seq, conversation_id=past.conversation_id)
        first = past.next_seq + 1 - self._window
        await self._history.append(TurnWrite(turn, tokens=size_of(turn), first_seq=first))


def _talk(turns: int) -> SampleConversation:
    return SampleConversation(f"C{turns}")


Cell = tuple[str, int]


async def compare(memories: dict[Cell, HistoryStore]) -> dict[Cell, float]:
    """Milliseconds of a turn, by name and length, measured in turns."""
    times: dict[Cell, list[float]] = {cell: [] for cell in memories}
    order, rng = list(memories), random.Random(1)
    for _ in range(ROUNDS):
        rng.shuffle(order)
        order.sort(key=itemgetter(0))  # after another's cold caches comes now this length, now that
        for cell in order:
            if sum(times[cell]) < MAX_S:
                began = time.perf_counter()
                await memories[cell].turn(cell[1])
                times[cell].append(time.perf_counter() - began)
    return {cell: 1000 * statistics.median(found) for cell, found in times.items()}


async def measure() -> list[Table]:
    server = modules_server()
    opened = with_modules if server else without_modules
    async with (
        server or DurableRedis() as redis,
        Redis(port=redis.port) as client,
        opened(redis.url) as others,
    ):
        ours = Keepthread(client)
        memories: dict[Cell, HistoryStore] = {(ours.name, turns): ours for turns in OUR_TURNS}
        memories |= {(other.name, turns): other for other in others for turns in TURNS}
        for (_, turns), memory in memories.items():
            await memory.fill(turns)
        windows: dict[Cell, HistoryStore] = {
            ("windows", turns): Keepthread(client, "windows", turns) for turns in WINDOWS
        }
        for (_, turns), memory in windows.items():
            await memory.fill(turns)
        took = await compare(memories)
        info = await client.info("server")
        by_window = await compare(windows)
    where = f"Redis {info['redis_version']} with modules" if server else "the embedded Valkey"
    return [
        _by_length(took, [other.name for other in others], where),
        Table(
            "Memory: the same by the turns that are in the window",
            ("", *(f"{window}" for window in WINDOWS)),
            [("Keepthread", *(f"{by_window['windows', window]:.2f} ms" for window in WINDOWS))],
            notes=["the default window of 16,000 tokens holds up to 40 turns of this talk"],
        ),
    ]


def _by_length(took: dict[Cell, float], others: list[str], where: str) -> Table:
    ours = {turns: took["Keepthread", turns] for turns in OUR_TURNS}
    rows = [("Keepthread", *(f"{ours[turns]:.2f} ms" for turns in OUR_TURNS))]
    for name in others:
        cells = [
            f"{number(took[name, at])} ms ({number(took[name, at] / ours[at])}x)" for at in TURNS
        ]
        rows.append((name, *cells, ""))
    return Table(
        f"Memory: read and append one turn, by turns so far; {where}",
        ("", *(f"{turns:,}" for turns in OUR_TURNS)),
        rows,
        (
            Promise(
                "ours at 10,000 turns over ours at 10", ours[10_000] / ours[10], GROWTH_AT_MOST
            ),
            Promise(
                f"{others[0]} over ours at 1,000 turns",
                took[others[0], 1_000] / ours[1_000],
                OTHERS_AT_LEAST,
                "at least",
            ),
        ),
        ["ours reads a window of 10 turns at every length"],
    )


def tables() -> Iterator[Table]:
    yield from asyncio.run(measure())
