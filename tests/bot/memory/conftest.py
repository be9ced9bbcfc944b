"""Fixtures of the memory tests: history, sessions and compaction on the test's Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from bot.memory.compaction import Compactor
from bot.memory.history import RedisHistory
from bot.memory.sessions import Sessions
from bot.model.openai import Endpoint, OpenAIModel
from bot.settings import Settings
from tests.bot.memory.compaction_harness import CONTEXT
from tests.bot.memory.history_harness import TTL_S
from tests.fakes import model_server as fake
from tests.fakes.model_server import ModelServer


@pytest.fixture
def history(redis: Redis, settings: Settings) -> RedisHistory:
    return RedisHistory(redis, settings.bot_redis_prefix, timedelta(seconds=TTL_S))


@pytest.fixture
def sessions(redis: Redis, history: RedisHistory) -> Sessions:
    return Sessions(redis, history)


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer(default=fake.say("Ada likes tea.")) as running:
        yield running


@pytest.fixture
async def compactor(history: RedisHistory, server: ModelServer) -> AsyncIterator[Compactor]:
    model = OpenAIModel(
        Endpoint("m", "key", server.base_url, first_token_timeout_s=60, timeout_s=60)
    )
    compactor = Compactor(history, model, CONTEXT, timeout_s=60)
    yield compactor
    await compactor.aclose()
    await model.aclose()
