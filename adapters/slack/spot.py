"""Where in Slack an answer goes, and the mark by which its messages are known again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.conversation import Address, SessionKey

EVENT_TYPE = "keepthread_answer"
_CLOCKS_DIFFER_S = 300
_MAX_BEFORE = 100


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something is said.

    Attributes:
        channel: its id; "" if it is the recipient's direct messages.
        thread_ts: the thread, or "" for the top level.
        recipient: the person it is for, and their workspace: streams in channels need both.
        only_for: the one person who may see it, or "".
        response_url: a way to tell that person, good for half an hour and five messages.
        answered_ts: the message that is answered, or "".
    """

    session: SessionKey
    channel: str
    thread_ts: str = ""
    recipient: str = ""
    recipient_team: str = ""
    only_for: str = ""
    response_url: str = ""
    answered_ts: str = ""

    @classmethod
    def of(cls, address: Address) -> Spot:
        details = address.details
        at_home = details.get("home") == "1"
        return cls(
            session=address.session,
            channel="" if at_home else address.session.place,
            thread_ts="" if at_home else details.get("thread_ts", ""),
            recipient=address.recipient_id,
            recipient_team=address.recipient_account,
            only_for=details.get("ephemeral_user", ""),
            response_url=details.get("response_url", ""),
            answered_ts=address.reply_to_id,
        )

    @property
    def team(self) -> str:
        return self.session.account

    @property
    def can_stream(self) -> bool:
        """Slack streams into threads, and outside direct messages for somebody."""
        is_named = bool(self.recipient and self.recipient_team) or self.channel.startswith("D")
        return bool(self.thread_ts) and is_named

    @property
    def since_ts(self) -> str:
        """Everything said about the message that is answered is newer than this."""
        try:
            float(self.answered_ts)
        except ValueError:
            return f"{time.time() - _CLOCKS_DIFFER_S:.6f}"
        return self.answered_ts

    @property
    def waits_since_s(self) -> float:
        """How long ago the message was written that is answered; 0 if unknown."""
        try:
            return max(0.0, time.time() - float(self.answered_ts))
        except ValueError:
            return 0.0


@dataclass(frozen=True, slots=True)
class Mark:
    """What a message carries unseen, in its metadata: whose part it is.

    Attributes:
        turn: the turn's id, or "" while the answer grows and for words of the bot's own.
        part: its number in the answer, from 1; `parts`: how many there are, 0 if unknown yet.
        to: time stamp of the message that is answered; "" for words of the bot's own.
        before: ids of the answer's earlier messages.
        id: of this very post, so that a post whose answer was lost is found.
    """

    turn: str = ""
    part: int = 1
    parts: int = 0
    to: str = ""
    before: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def is_last(self) -> bool:
        return bool(self.turn) and self.part == self.parts

    def metadata(self) -> dict[str, Any]:
        """https://docs.slack.dev/messaging/message-metadata"""
        payload = {
            "id": self.id,
            "turn": self.turn,
            "part": self.part,
            "parts": self.parts,
            "to": self.to,
            "before": ",".join(self.before[-_MAX_BEFORE:]),
        }
        return {"event_type": EVENT_TYPE, "event_payload": payload}

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Mark | None:
        """The mark of a message from Slack's history; None if it has none of ours."""
        metadata = message.get("metadata") or {}
        if metadata.get("event_type") != EVENT_TYPE:
            return None
        payload = metadata.get("event_payload") or {}
        try:
            return cls(
                turn=str(payload.get("turn") or ""),
                part=int(payload.get("part") or 1),
                parts=int(payload.get("parts") or 0),
                to=str(payload.get("to") or ""),
                before=tuple(one for one in str(payload.get("before") or "").split(",") if one),
                id=str(payload.get("id") or ""),
            )
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Found:
    """A message of ours in Slack. `mark` None: a stream that nobody ended."""

    ts: str
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Bot:
    """Who we are in a workspace."""

    id: str
    user: str

    def said(self, message: Mapping[str, Any]) -> bool:
        """Whether a message from Slack's history is ours. That we joined a channel is no word of ours."""
        if by := message.get("bot_id"):
            return bool(by == self.id)
        return bool(self.user) and message.get("user") == self.user and not message.get("subtype")
