"""Message metadata that marks a message as the bot's own, and of which turn.

https://docs.slack.dev/messaging/message-metadata/
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EVENT_TYPE = "keepthread_answer"


_MAX_BEFORE = 100


@dataclass(frozen=True, slots=True)
class MessageMetadata:
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
    reply_to: str = ""
    previous_ids: tuple[str, ...] = ()
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
            "to": self.reply_to,
            "before": ",".join(self.previous_ids[-_MAX_BEFORE:]),
        }
        return {"event_type": EVENT_TYPE, "event_payload": payload}

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> MessageMetadata | None:
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
                reply_to=str(payload.get("to") or ""),
                previous_ids=tuple(
                    one for one in str(payload.get("before") or "").split(",") if one
                ),
                id=str(payload.get("id") or ""),
            )
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message of ours in Slack. `mark` None: a stream that nobody ended."""

    ts: str
    metadata: MessageMetadata | None


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """Who we are in a workspace."""

    id: str
    user: str

    def sent(self, message: Mapping[str, Any]) -> bool:
        """Whether a message from Slack's history is ours. That we joined a channel is no word of ours."""
        if by := message.get("bot_id"):
            return bool(by == self.id)
        return bool(self.user) and message.get("user") == self.user and not message.get("subtype")
