"""Start-up bench: duration of the command from start to end, and its peak memory.

`keepthread chat` is given one line through a pipe: it starts the embedded server, asks a model on loopback,
prints the answer and ends. `keepthread serve` runs idle with Telegram, the model and Redis on loopback; its
time is that to the first "ready" of its probe. Times are medians; memory is the peak resident size that the
kernel states for the process itself (the embedded server has its own, about 10 MB).
The idle service must send Redis few commands: those of clients are counted, not those of scripts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from redis.asyncio import Redis

from tests.bench.redis_commands import commands_a_second
from tests.bench.tables import Promise, Table
from tests.bench.turn_harness import process
from tests.fakes.telegram.server import TelegramServer
from tests.faults.servers import DurableRedis
from tests.support.chat_process import Program

MEASURE_PROCESS = Path(__file__).with_name("measure_process.py")
STARTS = 5
SETTLE_S, IDLE_S = 3.0, 8.0
IDLE_COMMANDS_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Ran:
    """One start: seconds until it was done or ready, and the peak resident size in bytes."""

    took_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Idle:
    """The idle service: CPU seconds a second, resident bytes, commands it sends Redis a second."""

    cpu: float
    resident_bytes: int
    commands: float


def start(program: Program, *arguments: str) -> subprocess.Popen[bytes]:
    """As `Program.start`, under tests/bench/measure_process.py."""
    return subprocess.Popen(
        [sys.executable, "-S", "-E", str(MEASURE_PROCESS), *program.command(*arguments)],
        env=program.environment,
        cwd=program.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(program: Program, *arguments: str, stdin: str = "") -> Ran:
    """Run the command to its end. Blocks."""
    with start(program, *arguments) as started:
        out, err = started.communicate(stdin.encode())
    assert started.returncode == 0, err
    assert out
    return Ran(**json.loads(err.splitlines()[-1]))


async def serve(program: Program, redis_port: int) -> tuple[Ran, Idle]:
    """Run the service until it has been idle for a while."""
    began = time.perf_counter()
    with await asyncio.to_thread(start, program, "serve") as started:
        assert started.stderr is not None
        port = 0
        while not port:
            line = await asyncio.to_thread(started.stderr.readline)
            assert line, "it ended"
            found = re.search(rb"probes on port (\d+)", line)
            port = int(found[1]) if found else 0
        await _wait_until_ready(f"http://127.0.0.1:{port}/readyz")
        took_s = time.perf_counter() - began
        await asyncio.sleep(SETTLE_S)
        (watched,) = psutil.Process(started.pid).children()
        before = sum(watched.cpu_times()[:2])
        async with Redis(port=redis_port) as client:
            commands = await commands_a_second(client, IDLE_S)
        cpu = (sum(watched.cpu_times()[:2]) - before) / IDLE_S
        idle = Idle(cpu, watched.memory_info().rss, commands)
        started.send_signal(signal.SIGTERM)
        _, err = await asyncio.to_thread(started.communicate)
    assert started.returncode == 0, err
    return Ran(took_s, json.loads(err.splitlines()[-1])["peak_bytes"]), idle


async def _wait_until_ready(url: str) -> None:
    async with httpx2.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if (await client.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.01)


async def measure() -> Table:
    with tempfile.TemporaryDirectory(prefix="kt-") as folder:
        async with (
            process("tests.fakes.model_server") as model,
            TelegramServer() as telegram,
            DurableRedis() as redis,
        ):
            settings = {"OPENAI_BASE_URL": model, "OPENAI_API_KEY": "none"}
            console = Program(Path(folder), settings)
            service = Program(
                Path(folder),
                {
                    **settings,
                    "REDIS_URL": redis.url,
                    "BOT_HTTP_PORT": "0",
                    "TELEGRAM_BOT_TOKEN": telegram.token,
                    "TELEGRAM_API_URL": telegram.url,
                },
            )
            helped = [await asyncio.to_thread(run, console, "--help") for _ in range(STARTS)]
            chatted = [
                await asyncio.to_thread(run, console, "chat", stdin="hello\n")
                for _ in range(STARTS)
            ]
            served, idle = await serve(service, redis.port)
    return Table(
        "Start-up",
        ("", "time", "peak memory"),
        (
            _row("keepthread --help", helped),
            _row("keepthread chat, one line", chatted),
            _row("keepthread serve, until ready", [served]),
        ),
        (Promise("commands a second, idle serve", idle.commands, IDLE_COMMANDS_AT_MOST),),
        [f"idle serve: {idle.resident_bytes / 2**20:.0f} MB, {idle.cpu:.1%} of a core"],
    )


def _row(name: str, runs: Sequence[Ran]) -> tuple[str, str, str]:
    took_s = statistics.median(run.took_s for run in runs)
    peak_mb = max(run.peak_bytes for run in runs) / 2**20
    return name, f"{took_s:.2f} s", f"{peak_mb:.0f} MB"


def tables() -> Iterator[Table]:
    yield asyncio.run(measure())
