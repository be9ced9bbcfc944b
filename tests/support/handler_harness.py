"""Handler harness: real memory, a model server on loopback, and a reply that records its calls."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from bot.conversation import Turn
from bot.errors import KeepthreadError
from bot.memory.compaction import Compactor
from bot.memory.history import RedisHistory
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import CommandButton, Delivery
from bot.prompt.builder import PromptBuilder
from bot.settings import Settings
from bot.storage.dedicated_connection import DedicatedConnection
from bot.tracing import NoopTracer
from bot.turns.handler import Handler
from bot.turns.request import Request
from bot.turns.stop_signal import StopSignal
from tests.fakes.model_server import ModelServer
from tests.support.messages import KEY, make_message


@dataclass
class RecordingReply:
    """`Reply` that records each call as (method, text).

    Attributes:
        failures: errors that the next calls of `finish` and `fail` raise.
        existing_delivery: the result of `find_delivery`.
        files: (name, content) of each posted file.
        gives_ids: whether `finish` returns the ids of messages.
    """

    calls: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    existing_delivery: Delivery | None = None
    files: list[tuple[str, bytes]] = field(default_factory=list)
    gives_ids: bool = True

    def texts(self, method: str) -> list[str]:
        """Texts of the calls of one method, in order."""
        return [text for name, text in self.calls if name == method]

    async def set_status(self, text: str) -> None:
        self.calls.append(("set_status", text))

    async def show(self, delta: str) -> None:
        self.calls.append(("show", delta))

    async def finish(self, turn: Turn) -> Delivery:
        if self.failures:
            raise self.failures.pop(0)
        self.calls.append(("finish", turn.answer))
        return Delivery((f"m-{turn.id}",) if self.gives_ids else ())

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.calls.append(("fail", error.user_text))

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        self.calls.append(("find_delivery", turn.id))
        return self.existing_delivery

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        self.calls.append(("post_buttons", " ".join(button.command for button in buttons)))
        return Delivery()

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        self.calls.append(("post", text))
        if file is not None:
            self.files.append(file)
        return Delivery()

    async def aclose(self) -> None:
        self.calls.append(("aclose", ""))


@dataclass(slots=True)
class HandlerHarness:
    """A handler with its history, its model server and its Redis client."""

    handler: Handler
    history: RedisHistory
    model: ModelServer
    redis: Redis

    async def ask(
        self,
        text: str,
        turn_id: str = "",
        *,
        reply: RecordingReply | None = None,
        stop: StopSignal | None = None,
        **request: Any,
    ) -> Turn:
        """Answer a turn of one message in the session `KEY`."""
        turn = Turn(turn_id or uuid.uuid4().hex, (make_message(text),))
        return await self.handler.handle(Request(turn, **request), reply or RecordingReply(), stop)

    async def remembered(self) -> list[Turn]:
        return [item.turn for item in (await self.history.read(KEY)).window]


@asynccontextmanager
async def open_handler(
    redis: Redis,
    settings: Settings,
    *,
    budget_tokens: int = 4_000,
    dedicated: DedicatedConnection | None = None,
) -> AsyncIterator[HandlerHarness]:
    """Open a handler that does not retry a failed write to memory."""
    async with ModelServer() as server:
        ttl = timedelta(days=1)
        history = RedisHistory(redis, settings.bot_redis_prefix, ttl, dedicated=dedicated)
        model = OpenAIModel(
            Endpoint("gpt-5-mini", "test", server.base_url, first_token_timeout_s=60, retries=0)
        )
        context = PromptBuilder("Be kind.", budget_tokens)
        compactor = Compactor(history, model, context)
        handler = Handler(history, model, NoopTracer(), context, compactor, retry_write_for_s=0)
        try:
            yield HandlerHarness(handler, history, server, redis)
        finally:
            await compactor.aclose()
            await model.aclose()
