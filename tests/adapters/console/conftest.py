"""Fixtures of the console: a core that answers in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.service.direct_core import DirectCore
from bot.settings import Settings
from bot.wiring import open_components
from tests.fakes.model_server import ModelServer


@pytest.fixture
async def core(settings: Settings, model: ModelServer) -> AsyncIterator[DirectCore]:
    changed = {"openai_base_url": model.base_url, "openai_api_key": "fake"}
    async with open_components(Settings.load(**{**dict(settings), **changed})) as bot:
        core = DirectCore(bot)
        try:
            yield core
        finally:
            await core.aclose()
