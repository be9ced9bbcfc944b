"""What every test has: a clean environment and, if it asks, a real server of its own worker.

`settings` are settings that point at that server, with a key prefix of the test's own; `redis` is a
client on it. After each test that used the server every key must have a time to live.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import redis as sync_redis
import structlog
from redis.asyncio import Redis

from bot.logs import QUIETED_LOGGERS, LogHandler
from bot.settings import Settings
from bot.storage.embedded.server import EmbeddedServer
from tests.fakes.model_server import ModelServer

BOUNDED_KEYS: tuple[str, ...] = ()
"""Patterns of keys that may live for ever, because their size is bounded. Each names its bound."""

OUTSIDE = ("BOT_", "SLACK_", "TELEGRAM_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "REDIS_")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting and no `.env` of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith(OUTSIDE):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """What a command or a test makes of logging ends with the test."""
    loggers = [logging.getLogger(name) for name in (None, *QUIETED_LOGGERS)]
    levels = [one.level for one in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for handler in logging.getLogger().handlers[:]:
        if isinstance(handler, LogHandler):
            logging.getLogger().removeHandler(handler)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def wait_until_grown_up(url: str) -> None:
    """A server that has just started hands nothing over, because it saw no sign of life yet."""
    with sync_redis.from_url(url) as client:
        while client.info("server")["uptime_in_seconds"] < 1:
            time.sleep(0.05)


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    """The address of this worker's server; use `redis_url`, which also looks after its keys."""
    data_dir = Path(tempfile.mkdtemp(prefix="kt-"))
    with asyncio.Runner() as runner:
        server = runner.run(EmbeddedServer.start(data_dir))
        wait_until_grown_up(server.url)
        yield server.url
        runner.run(server.aclose())
    shutil.rmtree(data_dir)


@pytest.fixture
def redis_url(embedded_url: str) -> Iterator[str]:
    yield embedded_url
    with sync_redis.from_url(embedded_url) as client:
        immortal = [
            key.decode(errors="replace") for key in client.scan_iter() if client.ttl(key) == -1
        ]
        client.flushall()
    immortal = [key for key in immortal if not any(fnmatchcase(key, b) for b in BOUNDED_KEYS)]
    assert not immortal, f"keys without a time to live: {immortal}"


@pytest.fixture
def settings(redis_url: str, tmp_path: Path, clean_environment: None) -> Settings:
    return Settings.load(
        redis_url=redis_url,
        bot_data_dir=tmp_path / "data",
        bot_redis_prefix=f"kt-{uuid.uuid4().hex[:8]}",
    )


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    """The loopback model server that `OPENAI_BASE_URL` may point at."""
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client that returns bytes, made in the test's own event loop."""
    async with Redis.from_url(redis_url) as client:
        yield client
