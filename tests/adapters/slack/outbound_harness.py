"""Outbound harness: replies to a loopback Slack, with next to no pauses of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api.rate_limiter import RateLimiter
from adapters.slack.api.web_api import WebApiClient
from adapters.slack.outbound.address_details import SlackDetails
from adapters.slack.outbound.answer.messages import AnswerMessages
from adapters.slack.outbound.answer.streaming import StreamingAnswer
from adapters.slack.outbound.messages import MessageSender
from adapters.slack.outbound.reply import SlackReply
from adapters.slack.outbound.status import StatusIndicator
from adapters.slack.outbound.target import Target
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from tests.fakes.slack.server import BOT_TOKEN, SlackServer
from tests.fakes.slack.workspace_state import Message


@dataclass
class OutboundHarness:
    """Asks and answers in one workspace, as one process."""

    server: SlackServer
    sender: MessageSender
    session: aiohttp.ClientSession

    async def client(self, team: str) -> AsyncWebClient:
        return AsyncWebClient(
            BOT_TOKEN, self.server.api_url, session=self.session, retry_handlers=[]
        )

    def other_process(self) -> OutboundHarness:
        """The same Slack, and a process that knows nothing of the messages posted so far."""
        return OutboundHarness(self.server, self._new_sender(), self.session)

    def _new_sender(self, **options: Any) -> MessageSender:
        quick = RateLimiter(post_every_s=0.001, per_minute={})
        options = {"rate_limiter": quick, "pause_s": 0.01, "retry_for_s": 90} | options
        return MessageSender(WebApiClient(self.client, **options))

    def use(self, **options: Any) -> None:
        """Go on with options of `WebApiClient`."""
        self.sender = self._new_sender(**options)

    def ask(
        self,
        channel: str = "C1",
        text: str = "?",
        *,
        user: str = "U1",
        thread_ts: str | None = None,
        in_thread: bool = True,
        **details: Any,
    ) -> Address:
        """A person posts `text`; where to answer. `details`: see `SlackDetails`."""
        ts = self.server.say(channel, user, text, thread_ts or "")
        thread = (thread_ts or ts) if in_thread else ""
        private = channel.startswith("D")
        return Address(
            SessionKey("slack", "T1", channel, thread),
            "private" if private else "channel",
            recipient_id="" if private else user,
            recipient_account="" if private else "T1",
            reply_to_id=ts,
            details=SlackDetails(thread, **details).as_mapping(),
        )

    def reply(self, address: Address, **options: Any) -> SlackReply:
        return SlackReply(
            self.sender, address, **({"pace_s": 0.02, "leftovers_after_s": 3_600} | options)
        )

    def streaming(self, address: Address) -> StreamingAnswer:
        """A growing answer without a reply, which would close it in the end."""
        target = self.target(address)
        answer = AnswerMessages(self.sender, target)
        return StreamingAnswer(answer, StatusIndicator(self.sender.api, target), pace_s=0.02)

    def asked_target(self, channel: str = "C1", *, thread: bool = True) -> Target:
        """The target of an answer to a new question."""
        return Target.of(self.ask(channel, in_thread=thread))

    def target(self, address: Address) -> Target:
        return Target.of(address)

    def answers(self, address: Address) -> list[Message]:
        """The bot's messages in the thread of `address`, after the question."""
        posted = self.server.answers(address.session.place)
        thread = SlackDetails.of(address).thread_ts
        return [
            message
            for message in posted
            if message.thread_ts == thread and message.ts > address.reply_to_id
        ]

    def seen(self, address: Address) -> str:
        """The text of all those messages."""
        return "".join(message.text for message in self.answers(address))


@asynccontextmanager
async def open_outbound_harness(
    *, timeout_s: float = 60, **server: Any
) -> AsyncIterator[OutboundHarness]:
    """A harness and its server. `timeout_s`: how long a call may take."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with SlackServer(**server) as slack, aiohttp.ClientSession(timeout=timeout) as session:
        harness = OutboundHarness(slack, MessageSender(WebApiClient(_no_client)), session)
        harness.use()
        yield harness


async def _no_client(team: str) -> AsyncWebClient:
    raise AssertionError(team)


def turn_of(address: Address, answer: str = "", *, id_: str = "turn-1", **changes: Any) -> Turn:
    asked = Turn(id_, (Incoming(address, Speaker("U1", "Ada", "T1"), "?"),))
    return asked.ended(changes.pop("state", "complete"), answer, **changes)


def prose(characters: int, *, seed: str = "word") -> str:
    """Numbered paragraphs, so that lost, doubled or misplaced ones show."""
    parts: list[str] = []
    length = number = 0
    while length < characters:
        number += 1
        part = f"{number}. " + " ".join(f"{seed}{number}-{each}" for each in range(12)) + "\n\n"
        parts.append(part)
        length += len(part)
    return "".join(parts)[:characters]
