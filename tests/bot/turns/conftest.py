"""The handler harness, as a fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bot.settings import Settings
from tests.support.handler_harness import HandlerHarness, open_handler


@pytest.fixture
async def harness(redis: Redis, settings: Settings) -> AsyncIterator[HandlerHarness]:
    async with open_handler(redis, settings) as opened:
        yield opened
