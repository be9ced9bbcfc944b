"""The handler at work for tests: real memory, a real model over HTTP, and paper for what a person reads."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from bot.conversation import Address, Incoming, PlaceKind, SessionKey, Speaker, Turn
from bot.errors import KeepthreadError
from bot.memory.compaction import Compactor
from bot.memory.history import RedisHistory
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import CommandButton, Delivery
from bot.prompt.builder import PromptBuilder
from bot.settings import Settings
from bot.tracing import NoopTracer
from bot.turns.handler import Handler, Request
from bot.turns.stop_signal import StopSignal
from tests.fakes.model_server import ModelServer

KEY = SessionKey("loop", "A1", "C1")


@dataclass
class Paper:
    """The `Reply` port. `lines` is what happened to it, in order.

    Attributes:
        troubles: what the next `finish` or `fail` raises instead.
        is_there: what a platform that can be asked would say.
    """

    lines: list[tuple[str, str]] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    is_there: Delivery | None = None
    files: list[tuple[str, bytes]] = field(default_factory=list)

    def read(self, what: str) -> list[str]:
        return [text for kind, text in self.lines if kind == what]

    async def set_status(self, text: str) -> None:
        self.lines.append(("status", text))

    async def show(self, piece: str) -> None:
        self.lines.append(("show", piece))

    async def finish(self, turn: Turn) -> Delivery:
        if self.troubles:
            raise self.troubles.pop(0)
        self.lines.append(("finish", turn.answer))
        return Delivery((f"m-{turn.id}",))

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.lines.append(("fail", error.user_text))

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        self.lines.append(("asked", turn.id))
        return self.is_there

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        return await self.post(text)

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        self.lines.append(("say", text))
        if file is not None:
            self.files.append(file)
        return Delivery()

    async def aclose(self) -> None:
        self.lines.append(("close", ""))


@dataclass(slots=True)
class Desk:
    """Where turns are answered."""

    handler: Handler
    history: RedisHistory
    model: ModelServer
    redis: Redis

    async def ask(
        self, text: str, turn_id: str = "", *, reply: Paper | None = None, stop: StopSignal | None = None,
        **how: Any,
    ) -> Turn:  # fmt: skip
        """Say `text` in the one conversation there is."""
        turn = Turn(turn_id or uuid.uuid4().hex, (said(text),))
        return await self.handler.answer(Request(turn, **how), reply or Paper(), stop)

    async def remembered(self) -> list[Turn]:
        return [item.turn for item in (await self.history.read(KEY)).window]


def said(
    text: str, session: SessionKey = KEY, place_kind: PlaceKind = "private", **more: Any
) -> Incoming:
    """One message of Ada's."""
    return Incoming(Address(session, place_kind), Speaker("U1", "Ada", "A1"), text, **more)


@asynccontextmanager
async def desk_over(
    redis: Redis, settings: Settings, *, budget_tokens: int = 4_000
) -> AsyncIterator[Desk]:
    """A handler that gives up writing at once."""
    async with ModelServer() as server:
        history = RedisHistory(redis, settings.bot_redis_prefix, timedelta(days=1))
        model = OpenAIModel(
            Endpoint("gpt-5-mini", "test", server.base_url, first_token_timeout_s=60, retries=0)
        )
        context = PromptBuilder("Be kind.", budget_tokens)
        compactor = Compactor(history, model, context)
        handler = Handler(history, model, NoopTracer(), context, compactor, write_patience_s=0)
        try:
            yield Desk(handler, history, server, redis)
        finally:
            await compactor.aclose()
            await model.aclose()
