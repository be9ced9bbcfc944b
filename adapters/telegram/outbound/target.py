"""Target of a Telegram message: chat, topic and the message replied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from telegram import ReplyParameters

from adapters.telegram.topics import Topic
from bot.conversation import Address

_REPLY_CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class TelegramDetails:
    """`Address.details` of a Telegram address.

    Attributes:
        reply_chain: id of the reply chain outside of topics, such as the comments of a post, or `""`.
    """

    reply_chain: str = ""

    @classmethod
    def read(cls, details: Mapping[str, str]) -> Self:
        return cls(details.get(_REPLY_CHAIN, ""))

    def write(self) -> dict[str, str]:
        return {_REPLY_CHAIN: self.reply_chain} if self.reply_chain else {}


@dataclass(frozen=True, slots=True)
class Target:
    """Place of a message in Telegram.

    Attributes:
        chat_id: the chat.
        topic: its topic, or None.
        reply_to: id of the message replied to, or None.
        in_reply_chain: every message is a reply, not only the first: else they leave the comments of a post.
        question: id of the message that is answered, or None: where its topic is refused, a reply leads to it.
    """

    chat_id: int
    topic: Topic | None = None
    reply_to: int | None = None
    in_reply_chain: bool = False
    question: int | None = None

    @classmethod
    def of(cls, address: Address) -> Self:
        session = address.session
        question = int(address.reply_to_id) if address.reply_to_id else None
        return cls(
            int(session.place),
            Topic.parse(session.thread),
            question if address.shared else None,
            bool(TelegramDetails.read(address.details).reply_chain),
            question,
        )

    @property
    def after_first(self) -> Self:
        """The target of the further messages of an answer."""
        return self if self.in_reply_chain else replace(self, reply_to=None, question=None)

    @property
    def without_thread(self) -> Self:
        """The target in the chat's main room, as a reply to the question. Direct messages keep their topic."""
        if self.thread_id is None:
            return self
        return replace(self, topic=None, reply_to=self.reply_to or self.question)

    @property
    def without_reply(self) -> Self:
        return replace(self, reply_to=None, question=None)

    @property
    def thread_id(self) -> int | None:
        """`message_thread_id` of the Bot API."""
        return self.topic.id if self.topic is not None and self.topic.kind == "thread" else None

    @property
    def is_direct(self) -> bool:
        """Whether it is in a channel's direct messages, which know neither drafts nor the typing indicator."""
        return self.topic is not None and self.topic.kind == "direct"

    @property
    def parameters(self) -> dict[str, Any]:
        reply = self.reply_to and ReplyParameters(self.reply_to, allow_sending_without_reply=True)
        place: dict[str, Any] = {"message_thread_id": self.thread_id}
        if self.topic is not None and self.is_direct:
            place = {"direct_messages_topic_id": self.topic.id}
        return {**place, "reply_parameters": reply or None}
