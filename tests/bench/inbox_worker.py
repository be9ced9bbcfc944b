"""Worker process of the inbox bench: runs empty turns and writes down when each started.

python -m tests.bench.inbox_worker REDIS_URL PREFIX RESULT_FILE
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.metrics import Metrics
from bot.settings import Settings
from bot.storage.client import WORKER_RETRY_S, connect
from bot.worker.leases import Lease
from bot.worker.options import WorkerOptions
from bot.worker.outcome import TurnOutcome
from bot.worker.worker import Worker


async def main(redis_url: str, prefix: str, result: str) -> None:
    settings = Settings.load(redis_url=redis_url, bot_redis_prefix=prefix)
    link = await connect(settings, retry_for_s=WORKER_RETRY_S)
    waiting = await connect(settings, retry_for_s=WORKER_RETRY_S, read_timeout_s=None)
    starts: list[tuple[float, float]] = []

    async def execute(lease: Lease) -> TurnOutcome:
        now = time.time()
        arrived = int(lease.turn.ids[0].partition("-")[0]) / 1e6
        starts.append((now, now - arrived))
        return TurnOutcome("done")

    inbox = Inbox(link.client, InboxKeys(prefix, settings.bot_shards))
    name = f"bench{time.time_ns()}"
    options = WorkerOptions(name=name, max_turns_per_person=10**6)
    worker = Worker(inbox, waiting.client, execute, Metrics(), options)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    running = asyncio.create_task(worker.run())
    print("up", flush=True)
    await ended.wait()
    await worker.drain(1)
    await running
    await asyncio.to_thread(Path(result).write_text, json.dumps(starts))
    await link.aclose()
    await waiting.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
