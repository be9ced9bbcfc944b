"""Fixtures of every test: a clean environment, settings, a Redis server for each test worker, a model server.

`settings` point at that Redis, with a key prefix of the test's own; `redis` is a client on it. After each
test that used the server, every key must have a time to live.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import hypothesis
import pytest
import redis as sync_redis
import structlog
from redis.asyncio import Redis

from bot.logs import QUIETED_LOGGERS, LogHandler
from bot.settings import Settings
from bot.storage.embedded.server import EmbeddedServer
from tests.fakes.model_server import ModelServer

hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")  # a starved process is slow, and no worse for it

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a background job of a shell; processes that tests interrupt would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

BOUNDED_KEYS: tuple[str, ...] = ()
"""Patterns of keys without a time to live, each with the bound of its size."""

ENV_PREFIXES = ("BOT_", "SLACK_", "TELEGRAM_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "REDIS_")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's settings from the environment, and its `.env` from the working directory."""
    for name in list(os.environ):
        if name.upper().startswith(ENV_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Restore logging after a test that configured it."""
    loggers = [logging.getLogger(name) for name in (None, *QUIETED_LOGGERS)]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for handler in logging.getLogger().handlers[:]:
        if isinstance(handler, LogHandler):
            logging.getLogger().removeHandler(handler)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def wait_for_uptime(url: str) -> None:
    """Wait for one second of uptime: idle times of pending entries are measured against it."""
    with sync_redis.from_url(url) as client:
        while client.info("server")["uptime_in_seconds"] < 1:
            time.sleep(0.05)


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    """URL of this test worker's Redis; tests use `redis_url`, which checks and removes their keys."""
    data_dir = Path(tempfile.mkdtemp(prefix="kt-"))
    with asyncio.Runner() as runner:
        server = runner.run(EmbeddedServer.start(data_dir))
        wait_for_uptime(server.url)
        yield server.url
        runner.run(server.aclose())
    shutil.rmtree(data_dir)


@pytest.fixture
def redis_url(embedded_url: str) -> Iterator[str]:
    yield embedded_url
    with sync_redis.from_url(embedded_url) as client:
        persistent = [
            key.decode(errors="replace") for key in client.scan_iter() if client.ttl(key) == -1
        ]
        client.flushall()
    persistent = [key for key in persistent if not any(fnmatchcase(key, b) for b in BOUNDED_KEYS)]
    assert not persistent, f"keys without a time to live: {persistent}"


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
