"""Slack's mouth in a test: replies against a loopback Slack, with next to no waiting of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api.rate_limiter import RateLimiter
from adapters.slack.outbound.answer import AnswerMessages
from adapters.slack.outbound.messages import MessageSender
from adapters.slack.outbound.reply import SlackReply
from adapters.slack.outbound.status import StatusIndicator
from adapters.slack.outbound.streaming import StreamingAnswer
from adapters.slack.outbound.target import Target
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from tests.fakes.slack.server import BOT_TOKEN, SlackServer
from tests.fakes.slack.workspace_state import Message


@dataclass
class OutboundHarness:
    """Asks and answers in one workspace."""

    server: SlackServer
    sender: MessageSender
    session: aiohttp.ClientSession

    async def client(self, team: str) -> AsyncWebClient:
        return AsyncWebClient(
            BOT_TOKEN, self.server.api_url, session=self.session, retry_handlers=[]
        )

    def other_process(self) -> OutboundHarness:
        """The same Slack, seen from a process that knows nothing of what was said."""
        return OutboundHarness(self.server, self._new_sender(), self.session)

    def _new_sender(self, **options: Any) -> MessageSender:
        quick = RateLimiter(post_every_s=0.001, per_minute={})
        options = {"rate_limiter": quick, "wait_s": 0.01, "retry_for_s": 90} | options
        return MessageSender(self.client, **options)

    def use(self, **options: Any) -> None:
        self.sender = self._new_sender(**options)

    def ask(
        self,
        channel: str = "C1",
        text: str = "?",
        *,
        user: str = "U1",
        thread_ts: str | None = None,
        in_thread: bool = True,
        **details: str,
    ) -> Address:
        """Somebody writes `text`; where to answer."""
        ts = self.server.say(channel, user, text, thread_ts or "")
        thread = (thread_ts or ts) if in_thread else ""
        private = channel.startswith("D")
        return Address(
            SessionKey("slack", "T1", channel, thread),
            "private" if private else "channel",
            recipient_id="" if private else user,
            recipient_account="" if private else "T1",
            reply_to_id=ts,
            details={"thread_ts": thread, **details},
        )

    def reply(self, address: Address, **options: Any) -> SlackReply:
        return SlackReply(
            self.sender, address, **({"pace_s": 0.02, "leftovers_after_s": 3_600} | options)
        )

    def streaming(self, address: Address) -> StreamingAnswer:
        """What shows a growing answer, without a reply around it that would tidy up in the end."""
        target = self.target(address)
        answer, indicator = (
            AnswerMessages(self.sender, target),
            StatusIndicator(self.sender, target),
        )
        return StreamingAnswer(self.sender, target, answer, indicator, pace_s=0.02)

    def target(self, address: Address) -> Target:
        return Target.of(address)

    def answers(self, address: Address) -> list[Message]:
        """The bot's messages where `address` is."""
        found = self.server.answers(address.session.place)
        thread = address.details.get("thread_ts", "")
        return [one for one in found if one.thread_ts == thread and one.ts > address.reply_to_id]

    def seen(self, address: Address) -> str:
        """All that people read of the bot there."""
        return "".join(one.text for one in self.answers(address))


@asynccontextmanager
async def open_outbound_harness(
    *, timeout_s: float = 60, **server: Any
) -> AsyncIterator[OutboundHarness]:
    """`timeout_s`: how long a call may take."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with SlackServer(**server) as slack, aiohttp.ClientSession(timeout=timeout) as session:
        harness = OutboundHarness(slack, MessageSender(_nobody), session)
        harness.use()
        yield harness


async def _nobody(team: str) -> AsyncWebClient:
    raise AssertionError(team)


def turn_of(address: Address, answer: str = "", *, id_: str = "turn-1", **changes: Any) -> Turn:
    asked = Turn(id_, (Incoming(address, Speaker("U1", "Ada", "T1"), "?"),))
    return asked.ended(changes.pop("state", "complete"), answer, **changes)


def prose(characters: int, *, seed: str = "word") -> str:
    """Numbered paragraphs, so that what is lost, doubled or out of order shows."""
    parts: list[str] = []
    length = number = 0
    while length < characters:
        number += 1
        part = f"{number}. " + " ".join(f"{seed}{number}-{each}" for each in range(12)) + "\n\n"
        parts.append(part)
        length += len(part)
    return "".join(parts)[:characters]
