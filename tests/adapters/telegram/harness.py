"""Whole bot against loopback servers: Telegram, a model, and the Redis of the test's worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from adapters.telegram.adapter import ADAPTER
from adapters.telegram.connection import TelegramConnection
from adapters.telegram.topics import Topic
from bot.conversation import SessionKey, Turn
from bot.service.service import Service, open_service
from bot.settings import Settings
from bot.storage.client import WORKER_RETRY_S
from tests.fakes.model_server import ModelServer
from tests.fakes.telegram.chats import Shown
from tests.fakes.telegram.server import BOT_ID, TelegramServer
from tests.support.wait import wait_until

ANNA, BEN, CLEO, EVE = 41, 42, 43, 66
"""Three who may talk with the bot in private, and one who may not."""

GROUP, FORUM = -1001, -1002
DIRECT = -1003
"""The direct messages of a channel: Anna's in topic 21, Ben's in topic 22."""

FAST = {
    "TELEGRAM_CHAT_INTERVAL_S": "0.02",
    "TELEGRAM_POLL_S": "1",
    "TELEGRAM_COMMENT_WAIT_S": "0",
    "TELEGRAM_GROUP_PER_MINUTE": "500",
}


def furnished(telegram: TelegramServer) -> TelegramServer:
    """With people, a group and a forum of two topics."""
    for id_, name in ((ANNA, "Anna"), (BEN, "Ben"), (CLEO, "Cleo"), (EVE, "Eve")):
        telegram.person(id_, name)
    telegram.group(GROUP, members={ANNA: "creator", BEN: "member", CLEO: "member"})
    telegram.group(
        FORUM,
        "Forum",
        is_forum=True,
        topics={5: "Cats", 6: "Dogs"},
        members={ANNA: "administrator", BEN: "member", CLEO: "member"},
    )
    telegram.group(DIRECT, "Channel", direct_topics={21: ANNA, 22: BEN, 66: EVE})
    return telegram


def allowed(*more: int) -> tuple[str, ...]:
    return tuple(f"telegram:{id_}" for id_ in (ANNA, BEN, CLEO, GROUP, FORUM, *more))


@dataclass(slots=True)
class World:
    """The running bot, and the servers around it."""

    telegram: TelegramServer
    model: ModelServer
    service: Service
    settings: Settings

    @property
    def connection(self) -> TelegramConnection:
        connection = self.service.connections["telegram"]
        assert isinstance(connection, TelegramConnection)
        return connection

    def counted(self, counter: str, **labels: str) -> float:
        """The value of a counter of the metrics."""
        value = self.service.metrics.registry.get_sample_value(f"{counter}_total", labels)
        return value or 0.0

    def session(self, chat: int, topic: int | None = None) -> SessionKey:
        kind: Literal["thread", "direct"] = "direct" if chat == DIRECT else "thread"
        thread = str(Topic(kind, topic)) if topic else ""
        return SessionKey("telegram", str(BOT_ID), str(chat), thread)

    def prompt(self, number: int = -1) -> str:
        """The newest message that a request to the model holds."""
        content = self.model.requests[number].messages[-1]["content"]
        if isinstance(content, str):
            return content
        return " ".join(part.get("text", "") for part in content)

    async def remembered(self, chat: int, topic: int | None = None) -> list[Turn]:
        past = await self.service.services.history.read(self.session(chat, topic))
        return [item.turn for item in past.window]

    async def answered(self, chat: int, part: str, topic: int | None = None) -> Shown:
        """The finished message of the bot that holds `part`."""

        def found() -> Shown | None:
            for shown in self.telegram.seen(chat, topic):
                is_growing = any("stop:" in data for data in shown.data)
                if part in shown.text and not is_growing:
                    return shown
            return None

        shown: Shown = await wait_until(found)
        return shown

    async def settled(self) -> None:
        """Every update was taken in, and nothing waits or runs."""
        await wait_until(lambda: not self.telegram.updates or self._is_confirmed())
        await wait_until(self._is_idle)

    def _is_confirmed(self) -> bool:
        return bool(self.telegram.updates[-1]["update_id"] <= self.telegram.confirmed)

    async def _is_idle(self) -> bool:
        ready, waiting = await self.service.stats.depth()
        assert self.service.worker is not None
        return not ready and not waiting and not len(self.service.worker.leases)


@asynccontextmanager
async def serving(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    env: Mapping[str, str] | None = None,
    **overrides: Any,
) -> AsyncIterator[World]:
    """The service with Telegram alone, quick unless `env` says otherwise."""
    given = {"TELEGRAM_BOT_TOKEN": telegram.token, "TELEGRAM_API_URL": telegram.url, **FAST}
    for name, value in {**given, **(env or {})}.items():
        monkeypatch.setenv(name, value)
    values = {
        "openai_base_url": model.base_url,
        "openai_api_key": "test",
        "bot_allow": allowed(),
        "bot_http_port": 0,
        "bot_drain_s": 0.5,
        **overrides,
    }
    changed = settings.model_copy(update=Settings.load(**values).model_dump(include=set(values)))
    async with open_service(
        changed, platforms={"telegram": ADAPTER}, ingress_retry_s=WORKER_RETRY_S
    ) as service:
        yield World(telegram, model, service, changed)
