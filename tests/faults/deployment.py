"""Deployment under test: an ingress in this process, worker processes, a Redis, and a count of what became of each message."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.errors import StoreError
from bot.service.service import Service, open_service
from bot.settings import Settings
from tests.fakes.loopback_platform import Journal, LoopbackPlatform
from tests.support.wait import wait_until

LEASE_S = 2.0


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of messages that were lost, repeated or out of order; `repeated_to_person` counts answers.

    All must be 0, except that one kill may fall between showing an answer and storing that it was shown.

    Attributes:
        figures: what else was measured, in words; `is_within_limits`: and whether that was as promised.
    """

    sent: int
    lost: int
    repeated_in_history: int
    repeated_to_person: int
    out_of_order: int
    overlapped: int
    recovery_s: float = 0.0
    figures: str = ""
    is_within_limits: bool = True

    @property
    def is_clean(self) -> bool:
        broken = self.lost or self.repeated_in_history or self.out_of_order or self.overlapped
        return self.is_within_limits and not broken and self.repeated_to_person <= 1


@dataclass
class Deployment:
    """Messages enter through `service` (role ingress, in this process); the processes `workers` answer them."""

    service: Service
    journal: Journal
    environment: dict[str, str]
    answer_s: float
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    sent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    refusals: int = 0

    def start_worker(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.worker_process"),
                *(str(self.journal.path), str(self.answer_s)),
            ],
            env=self.environment,
            stderr=subprocess.DEVNULL if "KT_FAULTS_LOG" not in os.environ else None,
        )
        self.workers.append(process)
        return process

    async def start_workers(self, count: int) -> None:
        before = len(self.journal.read("up"))
        for _ in range(count):
            self.start_worker()
        await wait_until(lambda: len(self.journal.read("up")) >= before + count)

    async def send(self, place: str, text: str, *, speaker: str = "") -> str:
        """Enqueue a message, and retry until it is accepted, as a platform does."""
        session = SessionKey("loop", "A1", place)
        event = f"{place}:{text}"
        if text not in self.sent[place]:
            self.sent[place].append(text)
        incoming = Incoming(
            Address(session), Speaker(speaker or f"U{place}", account="A1"), text, event_id=event
        )
        while True:
            try:
                return await self.service.core.enqueue(incoming)
            except StoreError:
                self.refusals += 1
                await asyncio.sleep(0.2)

    async def send_load(
        self, conversations: int, messages: int, *, times: int = 1, rate: float = 0, seed: int = 0
    ) -> None:
        """Send 0, 1, 2 … to each conversation; with `times`, each event is delivered so often, the copies late."""
        rng = random.Random(seed)
        at_once = asyncio.Semaphore(24)
        pause_s = 1 / rate if rate else 0.0

        async def send_number(place: str, number: int) -> None:
            async with at_once:
                await self.send(place, str(number))

        for number in range(messages):
            places = [f"C{place}" for place in range(conversations)]
            rng.shuffle(places)
            tasks = []
            for place in places:
                tasks.append(asyncio.create_task(send_number(place, number)))
                if pause_s:
                    await asyncio.sleep(pause_s)
            await asyncio.gather(*tasks)
            if times > 1:
                copies = [(place, old) for place in places for old in range(number + 1)]
                rng.shuffle(copies)
                copies = copies[: (times - 1) * conversations]
                await asyncio.gather(*(send_number(place, old) for place, old in copies))

    def answered(self) -> int:
        return sum(len(line["texts"]) for line in self.journal.read("answer"))

    async def wait_until_idle(self, timeout_s: float = 90) -> None:
        async def idle() -> bool:
            try:
                return await self.service.stats.depth() == (0, 0)
            except StoreError:
                return False

        await wait_until(idle, timeout_s, every_s=0.1)

    async def tally(self, recovery_s: float = 0) -> Tally:
        lost = repeated = disorder = 0
        for place, texts in self.sent.items():
            remembered: list[str] = []
            async for turn in self.service.services.sessions.turns(SessionKey("loop", "A1", place)):
                if turn.state == "complete":
                    remembered += [message.text for message in turn.incoming]
            counts = Counter(remembered)
            lost += sum(text not in counts for text in texts)
            repeated += sum(count - 1 for count in counts.values())
            once = list(dict.fromkeys(remembered))
            disorder += once != [text for text in texts if text in counts]
        shown: dict[str, list[str]] = defaultdict(list)
        shown_again = 0
        for line in self.journal.read("answer"):
            new = [text for text in line["texts"] if text not in shown[line["session"]]]
            shown[line["session"]] += new
            shown_again += len(new) < len(line["texts"])
        overlapped = sum(
            seen
            != sorted(seen, key=lambda text: self.sent[SessionKey.parse(lane).place].index(text))
            for lane, seen in shown.items()
        )
        unseen = sum(
            text not in shown[str(SessionKey("loop", "A1", place))]
            for place, texts in self.sent.items()
            for text in texts
        )
        return Tally(
            sum(map(len, self.sent.values())),
            lost + unseen,
            repeated,
            shown_again,
            disorder,
            overlapped,
            recovery_s,
        )


@asynccontextmanager
async def open_deployment(
    redis_url: str,
    folder: Path,
    *,
    answer_s: float = 0.02,
    **environment: str,
) -> AsyncIterator[Deployment]:
    """Open a deployment on a Redis that the caller starts and stops."""
    names = {
        "REDIS_URL": redis_url,
        "BOT_LEASE_S": str(LEASE_S),
        "BOT_HTTP_PORT": "0",
        "BOT_LOG_LEVEL": "error",
        "BOT_SUMMARIZE": "false",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_API_KEY": "none",
        **environment,
    }
    settings = Settings.load(**{name.lower(): value for name, value in names.items()})
    journal = Journal(folder / f"journal-{time.time_ns()}")
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            open_service(settings, role="ingress", platforms={"loop": LoopbackPlatform(journal)})
        )
        deployment = Deployment(service, journal, {**os.environ, **names}, answer_s)
        try:
            yield deployment
        finally:
            for worker in deployment.workers:
                if worker.poll() is None:
                    worker.send_signal(signal.SIGCONT)
                    worker.kill()
            for worker in deployment.workers:
                await asyncio.to_thread(worker.wait)
