"""`keepthread serve` as a process of its own, with Slack, the model and Redis on loopback."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.model_server import ModelServer
from tests.fakes.slack.events import SIGNING_SECRET
from tests.fakes.slack.people import SlackWorkspace
from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN
from tests.fakes.slack.workspace_state import Message
from tests.support.wait import wait_until

KEEPTHREAD = Path(sys.executable).with_name("keepthread")
MODEL_KEY = "a-key-of-the-model"
SECRETS = (BOT_TOKEN, APP_TOKEN, SIGNING_SECRET, MODEL_KEY, "/response/", "ticket=")
"""Texts that may be in no log, at any level: tokens, and URLs that are as good as one."""


@dataclass
class ServeProcess:
    """A running `keepthread serve`. `log` holds the lines it wrote so far."""

    process: asyncio.subprocess.Process
    log: list[str]
    port: int = 0

    async def kill(self) -> None:
        """SIGKILL, as the operating system sends it when memory runs out."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 120)


@dataclass
class ServeProcesses:
    """Environment of processes that share Slack, a model and Redis.

    Attributes:
        max_descriptors: limit of open files, hard and soft; the system's if 0.
    """

    slack: SlackWorkspace
    model: ModelServer
    redis_url: str
    prefix: str
    folder: Path
    transport: str = "socket"
    max_descriptors: int = 0

    def environment(self, **changes: str) -> dict[str, str]:
        events = (
            {"SLACK_APP_TOKEN": APP_TOKEN}
            if self.transport == "socket"
            else {"SLACK_SIGNING_SECRET": SIGNING_SECRET}
        )
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **kept,
            "SLACK_API_URL": self.slack.server.api_url,
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "OPENAI_BASE_URL": self.model.base_url,
            "OPENAI_API_KEY": MODEL_KEY,
            "REDIS_URL": self.redis_url,
            "BOT_REDIS_PREFIX": self.prefix,
            "BOT_DATA_DIR": str(self.folder / "data"),
            "BOT_HTTP_PORT": "0",
            "BOT_DRAIN_S": "5",
            "BOT_LOG_LEVEL": "debug",
            **events,
            **changes,
        }

    @asynccontextmanager
    async def start(self, role: str = "all", **changes: str) -> AsyncIterator[ServeProcess]:
        """A process that is ready; killed in the end if it still runs. Its log must hold no secret."""
        limit = ("sh", "-c", 'ulimit -n "$0" && exec "$@"', str(self.max_descriptors))
        process = await asyncio.create_subprocess_exec(
            *(limit if self.max_descriptors else ()), str(KEEPTHREAD), "serve", "--role", role,
            cwd=self.folder, env=self.environment(**changes),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        serving = ServeProcess(process, [])
        reading = asyncio.create_task(_read(process, serving.log))
        try:
            await wait_until(lambda: _port(serving) or process.returncode is not None)
            assert process.returncode is None, "".join(serving.log)
            serving.port = _port(serving)
            if role == "worker":
                pass  # workers receive no events
            elif self.transport == "socket":
                await wait_until(lambda: self.slack.events.connections)
            else:
                url = f"http://127.0.0.1:{serving.port}/slack/events"
                self.slack.events.request_url = url
            yield serving
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await reading
        log = "".join(serving.log)
        assert not [secret for secret in SECRETS if secret in log]


async def answers(
    slack: SlackWorkspace, count: int, channel: str, thread_ts: str | None = None
) -> list[Message]:
    """The bot's messages there, once there are `count`."""
    found: list[Message] = await wait_until(
        lambda: (now := slack.finished(channel, thread_ts))[count - 1 :] and now, 30
    )
    assert len(found) == count, [message.text for message in found]
    return found


def _port(serving: ServeProcess) -> int:
    found: Any = re.search(r"probes on port (\d+)", "".join(serving.log))
    return int(found[1]) if found else 0


async def _read(process: asyncio.subprocess.Process, log: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        log.append(line.decode(errors="replace"))
