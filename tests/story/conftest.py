"""Fixtures of the stories."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.adapters.telegram.harness import furnished
from tests.fakes.telegram.server import TelegramServer


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramServer]:
    """The loopback Bot API, with people, a group and a forum."""
    async with TelegramServer() as server:
        yield furnished(server)
