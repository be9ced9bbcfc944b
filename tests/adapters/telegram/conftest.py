"""Fixtures of the Telegram tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.settings import Settings
from tests.adapters.telegram.harness import World, furnished, serving
from tests.adapters.telegram.outbound_harness import OutboundHarness, open_outbound
from tests.fakes.model_server import ModelServer
from tests.fakes.telegram.server import TelegramServer


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramServer]:
    """The loopback Bot API, with people, a group and a forum."""
    async with TelegramServer() as server:
        yield furnished(server)


@pytest.fixture
async def world(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """The whole bot, with Telegram alone."""
    async with serving(telegram, model, settings, monkeypatch) as running:
        yield running


@pytest.fixture
async def outbound(telegram: TelegramServer) -> AsyncIterator[OutboundHarness]:
    """Replies without the rest of the bot."""
    async with open_outbound(telegram) as harness:
        yield harness
