"""Message metadata, by which the bot's own messages are recognised, and the turn they belong to.

https://docs.slack.dev/messaging/message-metadata/
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

EVENT_TYPE = "keepthread_answer"

_MAX_PREVIOUS_IDS = 100


@dataclass(frozen=True, slots=True)
class MessageMetadata:
    """Metadata of one of the bot's messages; people do not see it.

    Attributes:
        turn: the turn's id, or "" while the answer grows and for notices.
        part: number of the message in the answer, from 1; `parts`: how many there are, 0 if unknown yet.
        reply_to: time stamp of the message that is answered; "" for notices.
        previous_ids: ids of the answer's earlier messages.
        id: of this very post, so that a post whose response was lost can be found.
    """

    turn: str = ""
    part: int = 1
    parts: int = 0
    reply_to: str = ""
    previous_ids: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def is_last(self) -> bool:
        """Whether the message is the last of a finished answer."""
        return bool(self.turn) and self.part == self.parts

    def as_argument(self) -> dict[str, Any]:
        """The `metadata` argument of chat.postMessage and the like."""
        payload = {
            "id": self.id,
            "turn": self.turn,
            "part": self.part,
            "parts": self.parts,
            "to": self.reply_to,
            "before": ",".join(self.previous_ids[-_MAX_PREVIOUS_IDS:]),
        }
        return {"event_type": EVENT_TYPE, "event_payload": payload}

    def shortened(self) -> MessageMetadata:
        """The same without the ids of earlier messages, for where Slack finds it too large."""
        return replace(self, previous_ids=())

    @classmethod
    def of_message(cls, message: Mapping[str, Any]) -> MessageMetadata | None:
        """Metadata of a message object; None if it carries none of the bot's."""
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
                previous_ids=tuple(filter(None, str(payload.get("before") or "").split(","))),
                id=str(payload.get("id") or ""),
            )
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One of the bot's messages as Slack lists it. `metadata` None: a stream that was never ended."""

    ts: str
    metadata: MessageMetadata | None


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """Ids of the bot in a workspace."""

    bot_id: str
    user_id: str

    def sent(self, message: Mapping[str, Any]) -> bool:
        """Whether the bot posted a message object. Notes such as "joined the channel" do not count."""
        if author := message.get("bot_id"):
            return bool(author == self.bot_id)
        is_user = bool(self.user_id) and message.get("user") == self.user_id
        return is_user and not message.get("subtype")
