"""Fixtures of the core's tests."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.settings import Settings
from tests.support.inbox_harness import make_inbox


@pytest.fixture
def inbox(redis: Redis, settings: Settings) -> Inbox:
    return make_inbox(redis, settings)
