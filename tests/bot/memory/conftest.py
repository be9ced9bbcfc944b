"""Fixtures of the memory tests: history and sessions on the test's Redis."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from bot.memory.history import RedisHistory
from bot.memory.sessions import Sessions
from bot.settings import Settings
from tests.bot.memory.history_harness import TTL_S


@pytest.fixture
def history(redis: Redis, settings: Settings) -> RedisHistory:
    return RedisHistory(redis, settings.bot_redis_prefix, timedelta(seconds=TTL_S))


@pytest.fixture
def sessions(redis: Redis, history: RedisHistory) -> Sessions:
    return Sessions(redis, history)
