"""Hostile connections on the HTTP port of a real process, while Slack's events come in over it and are answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

from bot.background import cancel_all
from tests.adapters.slack.serve_process import ServeProcess, ServeProcesses
from tests.fakes.model_server import ModelServer
from tests.fakes.slack.people import SlackWorkspace, slack_workspace
from tests.faults.deployment import Tally
from tests.faults.servers import DurableRedis
from tests.support.wait import wait_until

PEOPLE = 120
SLACK_TIMEOUT_S = 3.0
MAX_ACK_S = 1.0
MAX_MEMORY_MB = 200
MAX_LOG_LINES = 100


@dataclass(frozen=True, slots=True)
class Flood:
    """Attack, and the load that has to survive it.

    Attributes:
        per_s: connections opened in a second, those that replace closed ones included.
        max_descriptors: limit of open files of the attacked process.
    """

    connections: int = 5000
    per_s: float = 250
    turns_per_s: float = 20
    duration_s: float = 30
    calm_s: float = 10
    max_descriptors: int = 1024


@dataclass
class Measured:
    """Times of acknowledgements and probes in seconds, memory in megabytes; `calm_acks`: before the attack."""

    calm_acks: list[float] = field(default_factory=list)
    acks: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    failed_probes: list[str] = field(default_factory=list)
    cpu_share: float = 0
    memory_before: float = 0
    memory_most: float = 0
    log_lines: int = 0
    resent: int = 0
    clients: dict[str, int] = field(default_factory=dict)

    @property
    def figures(self) -> str:
        return (
            f"acknowledged: p50 {quantile(self.acks, 0.5):.3f} s, p99 {quantile(self.acks, 0.99):.3f} s "
            f"(before: {quantile(self.calm_acks, 0.5):.3f} s, {quantile(self.calm_acks, 0.99):.3f} s); "
            f"probes: p99 {quantile(self.probes, 0.99):.3f} s, failed {self.failed_probes or 0}; "
            f"CPU {self.cpu_share:.0%}; memory {self.memory_before:.0f} -> {self.memory_most:.0f} MB; log {self.log_lines} lines; "
            f"events sent again {self.resent}; "
            f"hostile connections {self.clients.get('opened', 0)}, closed {self.clients.get('closed', 0)}"
        )

    @property
    def is_within_limits(self) -> bool:
        return (
            quantile(self.acks, 0.99) < MAX_ACK_S
            and not self.failed_probes
            and self.memory_most - self.memory_before < MAX_MEMORY_MB
            and self.log_lines < MAX_LOG_LINES
        )


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] if times else float("inf")


async def flood_http_port(folder: Path, flood: Flood) -> Tally:
    """Every message gets its answer, at the pace of a calm day."""
    measured = Measured()
    async with DurableRedis() as redis, ModelServer() as model, slack_workspace() as slack:
        slack.events.ack_timeout_s = SLACK_TIMEOUT_S
        for number in range(PEOPLE):
            slack.server.add_person(f"UP{number}", f"Person {number}")
            slack.server.add_channel(f"DP{number}", "private", {f"UP{number}", "UBOT"})
        prefix = f"kt-{uuid.uuid4().hex[:8]}"
        processes = ServeProcesses(
            slack, model, redis.url, prefix, folder, "http", flood.max_descriptors
        )
        async with processes.start(BOT_LOG_LEVEL="warning", BOT_ALLOW="slack:T1") as process:
            sent = await _talk_under_attack(process, slack, flood, measured)
            lost = await _count_lost(slack, sent)
            measured.log_lines = len(process.log)
            measured.resent = sum(len(found.attempts) > 1 for found in slack.deliveries)
    return Tally(
        sum(sent.values()), lost, 0, 0, 0, 0,
        figures=measured.figures, is_within_limits=measured.is_within_limits,
    )  # fmt: skip


async def _talk_under_attack(
    process: ServeProcess, slack: SlackWorkspace, flood: Flood, measured: Measured
) -> dict[str, int]:
    """Messages sent, by channel."""
    sent: dict[str, int] = {}
    await _talk(slack, flood.calm_s, flood.turns_per_s, sent, measured.calm_acks)
    system = psutil.Process(process.process.pid)
    measured.memory_before = measured.memory_most = system.memory_info().rss / 2**20
    async with _attack(process.port, flood, measured):
        probing = asyncio.create_task(_probe(process.port, system, measured))
        began, used = time.monotonic(), sum(system.cpu_times()[:2])
        await _talk(slack, flood.duration_s, flood.turns_per_s, sent, measured.acks)
        measured.cpu_share = (sum(system.cpu_times()[:2]) - used) / (time.monotonic() - began)
        await cancel_all((probing,))
    return sent


async def _talk(
    slack: SlackWorkspace, seconds: float, per_s: float, sent: dict[str, int], acks: list[float]
) -> None:
    """Send messages at this pace, and note how long each took to be acknowledged."""

    async def say(person: int) -> None:
        channel, user = f"DP{person}", f"UP{person}"
        number = sent[channel] = sent.get(channel, 0) + 1
        began = time.monotonic()
        await slack.say(channel, user, f"message {number};")
        acks.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(seconds * per_s)):
            tasks.create_task(say(number % PEOPLE))
            await asyncio.sleep(1 / per_s)


async def _count_lost(slack: SlackWorkspace, sent: dict[str, int]) -> int:
    """Messages that no answer names; messages that waited together share an answer."""

    def lost() -> int:
        missing = 0
        for channel, count in sent.items():
            answers = " ".join(message.text for message in slack.finished(channel))
            missing += sum(f"message {number};" not in answers for number in range(1, count + 1))
        return missing

    with suppress(AssertionError):
        await wait_until(lambda: not lost(), 60, every_s=0.5)
    return lost()


async def _probe(port: int, system: psutil.Process, measured: Measured) -> None:
    """Ask for the process's health as an orchestrator does: each time on a new connection."""
    while True:
        began = time.monotonic()
        try:
            async with httpx2.AsyncClient(timeout=5) as client:
                response = await client.get(f"http://127.0.0.1:{port}/healthz")
            if response.status_code != 200:
                measured.failed_probes.append(response.text)
        except httpx2.HTTPError as error:
            measured.failed_probes.append(repr(error))
        measured.probes.append(time.monotonic() - began)
        measured.memory_most = max(measured.memory_most, system.memory_info().rss / 2**20)
        await asyncio.sleep(0.5)


@asynccontextmanager
async def _attack(port: int, flood: Flood, measured: Measured) -> AsyncIterator[None]:
    """All connections were opened when it is entered; they go on until it is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.hostile_clients"),
        *(str(port), "/slack/events", str(flood.connections), str(flood.per_s)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert await process.stdout.readline() == b"open\n"
        yield
        process.stdin.close()
        measured.clients = json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
