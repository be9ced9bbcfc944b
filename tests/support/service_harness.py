"""Service harness: a whole service with the loopback platform, a model server and real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.conversation import Incoming, SessionKey, Turn
from bot.service.service import Role, Service, open_service
from bot.settings import Settings
from bot.storage.client import WORKER_RETRY_S
from tests.fakes.loopback_platform import Journal, LoopbackPlatform
from tests.fakes.model_server import ModelServer


@dataclass(slots=True)
class RunningService:
    """A service with its platform, the journal of that platform, and its model server."""

    service: Service
    platform: LoopbackPlatform
    journal: Journal
    model: ModelServer

    async def enqueue(self, incoming: Incoming, **options: Any) -> str:
        return await self.service.core.enqueue(incoming, **options)

    def answers(self, session: str = "") -> list[str]:
        """Finished answers that the platform showed, in order."""
        lines = self.journal.read("answer")
        return [line["answer"] for line in lines if not session or line["session"] == session]

    def posts(self) -> list[str]:
        """Texts that the bot posted beside its answers, in order."""
        return [line["text"] for line in self.journal.read("post")]

    async def is_idle(self) -> bool:
        """Whether no message waits and no turn runs."""
        return await self.service.stats.depth() == (0, 0)

    async def turns(self, session: SessionKey) -> list[Turn]:
        return [turn async for turn in self.service.services.sessions.turns(session)]


def service_settings(settings: Settings, model: ModelServer, **changes: Any) -> Settings:
    """`settings` with the model server, a free HTTP port, a short drain, and `changes`."""
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
async def running_service(
    settings: Settings,
    tmp_path: Path,
    model: ModelServer,
    *,
    role: Role = "all",
    platform: LoopbackPlatform | None = None,
    ingress_retry_s: float = WORKER_RETRY_S,
    **changes: Any,
) -> AsyncIterator[RunningService]:
    """Open a service whose settings differ from the test's by `changes`.

    `ingress_retry_s`: a starved process may take its time to take a message in.
    """
    journal = Journal(tmp_path / "journal")
    platform = platform or LoopbackPlatform(journal)
    platforms: dict[str, Any] = {platform.name: platform}
    async with open_service(
        service_settings(settings, model, **changes),
        role=role,
        platforms=platforms,
        ingress_retry_s=ingress_retry_s,
    ) as service:
        yield RunningService(service, platform, platform.journal, model)
