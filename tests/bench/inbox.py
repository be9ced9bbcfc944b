"""Inbox bench: latency from enqueue to start, turns a second, bytes of a waiting conversation."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.logs import configure_logging
from tests.bench.redis_commands import commands_a_second
from tests.bench.tables import Promise, Table, number
from tests.faults.deployment import open_deployment
from tests.faults.servers import DurableRedis
from tests.support.messages import make_message

SHARDS = 8
TRIALS = 3
PROMISES: dict[str, tuple[float, Literal["at most", "at least"]]] = {
    "turns a second, 2 workers, the best of 3": (1_500, "at least"),
    "enqueue to start, p50 ms": (3, "at most"),
    "commands a second, idle worker": (20, "at most"),
}


@asynccontextmanager
async def _workers(
    redis: DurableRedis, prefix: str, count: int
) -> AsyncIterator[list[list[float]]]:
    """Worker processes; on leaving, the list holds [when, waited] of every turn."""
    starts: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(count)]
        processes = [
            subprocess.Popen(  # noqa: ASYNC220  it returns at once
                [sys.executable, "-m", "tests.bench.inbox_worker", redis.url, prefix, str(file)],
                stdout=subprocess.PIPE,
            )
            for file in files
        ]
        for process in processes:
            assert process.stdout is not None
            await asyncio.to_thread(process.stdout.readline)
        yield starts
        for process in processes:
            process.terminate()
        for process, file in zip(processes, files, strict=True):
            await asyncio.to_thread(process.wait)
            assert process.stdout is not None
            process.stdout.close()
            starts.extend(json.loads(file.read_text()))


async def _wait_until_empty(client: Redis, keys: InboxKeys) -> None:
    while any([await client.xlen(keys.of(shard, "ready")) for shard in range(SHARDS)]):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def measure() -> dict[str, float]:
    """Measure all figures of the inbox."""
    figures: dict[str, float] = {}
    async with DurableRedis() as redis, Redis(port=redis.port) as client:
        keys = InboxKeys("bench", SHARDS)
        inbox = Inbox(client, keys)

        sizes, speeds = [], []
        for trial in range(TRIALS):
            before = (await client.info("memory"))["used_memory"]
            for at in range(5_000):
                await inbox.enqueue(make_message("x" * 100, f"W{at}", event_id=f"w{trial}-{at}"))
            after = (await client.info("memory"))["used_memory"]
            sizes.append((after - before) / 5_000)
            async with _workers(redis, "bench", 2) as starts:
                await _wait_until_empty(client, keys)
            times = sorted(when for when, _ in starts)
            speeds.append((len(times) - 1) / (times[-1] - times[0]))
        figures["bytes a waiting conversation"] = sizes[0]
        figures["turns a second, 2 workers, the best of 3"] = max(speeds)

        async with _workers(redis, "bench", 2) as paced:
            await asyncio.sleep(1)
            next_at = time.perf_counter()
            for number in range(2_000):
                await inbox.enqueue(make_message("hi", f"P{number % 500}", event_id=f"p{number}"))
                next_at += 1 / 200
                await asyncio.sleep(max(0, next_at - time.perf_counter()))
            await _wait_until_empty(client, keys)
        waits_ms = sorted(waited * 1000 for _, waited in paced)
        figures["enqueue to start, p50 ms"] = statistics.median(waits_ms)
        figures["enqueue to start, p99 ms"] = waits_ms[int(len(waits_ms) * 0.99)]

        async with _workers(redis, "bench", 1):
            await asyncio.sleep(2)
            figures["commands a second, idle worker"] = await commands_a_second(client, 10)

        with tempfile.TemporaryDirectory() as folder:
            async with open_deployment(redis.url, Path(folder), answer_s=0) as deployment:
                await deployment.send_load(1_500, 1)
                await deployment.start_workers(1)
                await deployment.wait_until_idle()
                shown = sorted(line["at"] for line in deployment.journal.read("answer"))
        figures["real turns a second, 1 worker"] = (len(shown) - 1) / (shown[-1] - shown[0])
    return figures


def tables() -> Iterator[Table]:
    configure_logging("error", "text")
    figures = asyncio.run(measure())
    promises = [Promise(name, figures[name], *promise) for name, promise in PROMISES.items()]
    rows = [(name, number(value)) for name, value in figures.items()]
    yield Table(
        f"Inbox: turns of no work, Redis with everysec, {SHARDS} shards", ("", ""), rows, promises
    )
