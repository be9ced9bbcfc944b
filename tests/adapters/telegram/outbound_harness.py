"""Outbound side of the adapter against a loopback Telegram: replies, their sender and their limiter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters.telegram.api.client import make_client
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.preview import PreviewMode
from adapters.telegram.outbound.reply import TelegramReply
from adapters.telegram.outbound.sent_messages import SentMessages
from adapters.telegram.outbound.target import TelegramDetails
from adapters.telegram.settings import TelegramSettings
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from tests.adapters.telegram.harness import ANNA
from tests.fakes.telegram.server import BOT_ID, TelegramServer
from tests.support.key_value_store import InMemoryKeyValueStore


@dataclass(slots=True)
class OutboundHarness:
    """Replies to a loopback Telegram, and what they stand on."""

    sender: MessageSender
    sent_messages: SentMessages
    moves: list[tuple[SessionKey, SessionKey]]
    key_values: InMemoryKeyValueStore
    limiter: RateLimiter
    replies: list[TelegramReply] = field(default_factory=list)

    def reply(
        self,
        chat: int,
        topic: int | None = None,
        *,
        mode: PreviewMode = "edit",
        reply_to: int | None = None,
        chain: str = "",
        pace_s: float = 0.02,
        **options: Any,
    ) -> TelegramReply:
        self.replies.append(
            TelegramReply(
                self.sender,
                self.sent_messages,
                address(chat, topic, reply_to, chain),
                mode=mode,
                pace_s=pace_s,
                rated=True,
                **options,
            )
        )
        return self.replies[-1]


def address(
    chat: int, topic: int | None = None, reply_to: int | None = None, chain: str = ""
) -> Address:
    return Address(
        SessionKey("telegram", str(BOT_ID), str(chat), str(topic) if topic else ""),
        "private" if chat > 0 else "group",
        reply_to_id=str(reply_to) if reply_to else "",
        details=TelegramDetails(chain).write(),
    )


def turn(answer: str, state: str = "complete", chat: int = ANNA) -> Turn:
    asked = Incoming(address(chat), Speaker("41"), "?", message_id="1")
    return Turn("t", (asked,), answer=answer, state=state)  # type: ignore[arg-type]


@asynccontextmanager
async def open_outbound(
    telegram: TelegramServer, limiter: RateLimiter | None = None, token: str = ""
) -> AsyncIterator[OutboundHarness]:
    settings = TelegramSettings.load(
        telegram_bot_token=token or telegram.token, telegram_api_url=telegram.url
    )
    limiter = limiter or RateLimiter(0.02, 500)
    client, request = make_client(settings, limiter)
    moves: list[tuple[SessionKey, SessionKey]] = []

    async def moved(old: SessionKey, new: SessionKey) -> None:
        moves.append((old, new))

    key_values = InMemoryKeyValueStore()
    sent_messages = SentMessages(key_values, str(BOT_ID))
    harness = OutboundHarness(
        MessageSender(client, moved, retry_pause_s=0.02), sent_messages, moves, key_values, limiter
    )
    try:
        yield harness
    finally:
        for reply in harness.replies:
            await reply.aclose()
        await request.shutdown()
