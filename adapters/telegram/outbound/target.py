"""Target of a Telegram message: chat, topic and the message replied to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from telegram import (
    ReplyParameters,
)

from bot.conversation import Address


@dataclass(frozen=True, slots=True)
class Target:
    """Where in Telegram something is said.

    Attributes:
        chat_id: the chat.
        topic: id of its topic, or None.
        reply_to: id of the message that is answered, or None.
        in_chain: every message answers it, not only the first: else they leave the comments of a post.
    """

    chat_id: int
    topic: int | None = None
    reply_to: int | None = None
    in_chain: bool = False

    @classmethod
    def of(cls, address: Address) -> Target:
        session = address.session
        return cls(
            int(session.place),
            int(session.thread) if session.thread else None,
            int(address.reply_to_id) if address.reply_to_id and address.shared else None,
            bool(address.details.get("chain")),
        )

    @property
    def after_first(self) -> Target:
        """For the further messages of an answer."""
        return self if self.in_chain else replace(self, reply_to=None)

    @property
    def parameters(self) -> dict[str, Any]:
        reply = self.reply_to and ReplyParameters(self.reply_to, allow_sending_without_reply=True)
        return {"message_thread_id": self.topic, "reply_parameters": reply or None}
