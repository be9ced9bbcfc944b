"""A workspace with Keepthread at work in it: Ada, Ben, their admin Cora, and Nora of a partner company."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from adapters.slack.adapter import ADAPTER
from adapters.slack.api import web_api
from adapters.slack.api.rate_limiter import RateLimiter
from bot.service.service import Service, open_service
from bot.settings import Settings
from bot.storage.client import WORKER_RETRY_S
from tests.fakes.model_server import ModelServer, ReceivedRequest
from tests.fakes.slack.people import SlackWorkspace, slack_workspace
from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN
from tests.fakes.slack.workspace_state import Message
from tests.support.service_harness import service_settings
from tests.support.wait import wait_until

ADA, BEN, CORA, NORA = "U1", "U2", "UADMIN", "U9"


@dataclass(slots=True)
class Day:
    """The workspace, with the bot at work in it."""

    slack: SlackWorkspace
    model: ModelServer
    service: Service

    async def answers(self, count: int, channel: str, thread: str | None = None) -> list[str]:
        """Texts of the bot's messages there, once there are `count`."""
        found = await self.messages(count, channel, thread)
        return [message.text for message in found]

    async def messages(self, count: int, channel: str, thread: str | None = None) -> list[Message]:
        found: list[Message] = await wait_until(
            lambda: (now := self.slack.finished(channel, thread))[count - 1 :] and now, 20
        )
        assert len(found) == count, [message.text for message in found]
        return found

    async def at_rest(self) -> None:
        """Wait until no turn runs and none waits."""

        async def rests() -> bool:
            ready, waiting = await self.service.stats.depth()
            return not (ready or waiting or self.model.open_streams)

        await wait_until(rests)

    def asked(self, at: int = -1) -> str:
        """All user messages of a model request, the newest by default."""
        received: ReceivedRequest = self.model.requests[at]
        said = [message["content"] for message in received.messages if message["role"] == "user"]
        return "\n".join(str(words) for words in said)


@asynccontextmanager
async def working_day(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, **environment: str
) -> AsyncIterator[Day]:
    """The bot at work. Its posts do not wait a second for one another; the rate limit has tests of its own."""
    monkeypatch.setattr(web_api, "RateLimiter", partial(RateLimiter, post_every_s=0.05))
    async with slack_workspace() as slack, ModelServer() as model:
        slack.server.add_person(NORA, "Nora", team_id="T9")
        slack.server.space.channel("C1").members.add(NORA)
        own = {
            "SLACK_API_URL": slack.server.api_url,
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN,
        }
        for name, value in (own | environment).items():
            monkeypatch.setenv(name, value)
        platforms: Any = {"slack": ADAPTER}
        async with open_service(
            service_settings(settings, model), platforms=platforms, ingress_retry_s=WORKER_RETRY_S
        ) as service:
            await wait_until(lambda: service.connections["slack"].health().ready)
            yield Day(slack, model, service)
