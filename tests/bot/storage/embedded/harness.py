"""Embedded server harness: user processes, and the processes that serve a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from redis.asyncio import Redis

USER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from redis.asyncio import Redis
    from bot.storage.embedded.server import EmbeddedServer

    async def main():
        server = await EmbeddedServer.start(Path(sys.argv[1]))
        async with Redis.from_url(server.url) as client:
            await client.incr("visits")
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await server.aclose()

    asyncio.run(main())
""")


class User:
    """Another process that uses the server of a folder until told to leave, or killed."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def wait_for_url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate("\n", timeout=240)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: tuple[type[BaseException] | None, TracebackType | None]) -> None:
        self.kill()


def processes(data_dir: Path, name: str = "") -> list[psutil.Process]:
    """What works in the folder: `valkey-server`, or the supervisor (`python`)."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(data_dir / "redis") and name in process.name():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
    return found


def servers(data_dir: Path) -> list[psutil.Process]:
    return processes(data_dir, "valkey")


def supervisors(data_dir: Path) -> list[psutil.Process]:
    return [p for p in processes(data_dir) if "valkey" not in p.name()]


async def visits(url: str) -> int:
    async with Redis.from_url(url) as client:
        return int(await client.get("visits") or 0)


async def answers(url: str) -> bool:
    async with Redis.from_url(url) as client:
        try:
            return bool(await client.ping())
        except (ConnectionError, OSError):
            return False
        except Exception as error:
            if type(error).__module__.startswith("redis"):
                return False
            raise
