"""A whole service for tests: the loopback platform, a loopback model, real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.conversation import Turn
from bot.service.service import Role, Service, open_service
from bot.settings import Settings
from tests.fakes.loopback_platform import Journal, LoopbackPlatform
from tests.fakes.model_server import ModelServer


@dataclass(slots=True)
class Served:
    """What a test works with."""

    service: Service
    platform: LoopbackPlatform
    journal: Journal
    model: ModelServer

    async def say(self, incoming: Any, **options: Any) -> str:
        return await self.service.core.enqueue(incoming, **options)

    def answers(self, session: str = "") -> list[str]:
        """What people read as finished answers, in order."""
        lines = self.journal.read("answer")
        return [line["answer"] for line in lines if not session or line["session"] == session]

    def words(self) -> list[str]:
        return [line["text"] for line in self.journal.read("word")]

    async def turns(self, session: Any) -> list[Turn]:
        return [turn async for turn in self.service.core.sessions.turns(session)]


def settings_for(settings: Settings, model: ModelServer, **changes: Any) -> Settings:
    return settings.model_copy(
        update={
            "openai_base_url": model.base_url,
            "openai_api_key": SecretStr("test"),
            "bot_http_port": 0,
            "bot_drain_s": 2,
            **changes,
        }
    )


@asynccontextmanager
async def served(
    settings: Settings,
    tmp_path: Path,
    model: ModelServer,
    *,
    role: Role = "all",
    platform: LoopbackPlatform | None = None,
    **changes: Any,
) -> AsyncIterator[Served]:
    journal = Journal(tmp_path / "journal")
    platform = platform or LoopbackPlatform(journal)
    platforms: dict[str, Any] = {platform.name: platform}
    async with open_service(
        settings_for(settings, model, **changes), role=role, platforms=platforms
    ) as service:
        yield Served(service, platform, platform.journal, model)
