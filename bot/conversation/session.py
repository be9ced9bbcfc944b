"""Session keys and addresses: the place of a conversation, and how to answer there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import quote, unquote

from bot.text import clean_fields, clean_text

PlaceKind = Literal["private", "group", "channel"]
"""`private`: one person and the bot. `group`: several people. `channel`: a public room."""


@dataclass(frozen=True, slots=True, order=True)
class SessionKey:
    """Identity of a conversation. Its parts are the platform's stable ids, never names.

    Attributes:
        platform: the adapter's name, such as `slack`.
        account: the workspace or bot it belongs to (Slack team id, Telegram bot id).
        place: the channel or chat id.
        thread: the thread or topic id, or `""` where there is none.
    """

    platform: str
    account: str
    place: str
    thread: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, "platform", "account", "place", "thread")

    def __str__(self) -> str:
        """`platform/account/place/thread`, each part percent-encoded; `parse` is its inverse."""
        return "/".join(
            quote(part, safe="") for part in (self.platform, self.account, self.place, self.thread)
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that `str()` wrote.

        Raises:
            ValueError: `text` is no session key.
        """
        parts = text.split("/")
        if len(parts) != 4:
            raise ValueError(f"a session key has four parts, as in slack/T1/C1/: got {text!r}")
        key = cls(*(unquote(part, errors="strict") for part in parts))
        if str(key) != text:
            raise ValueError(f"not a session key as Keepthread writes it: {text!r}")
        return key


@dataclass(frozen=True, slots=True)
class Address:
    """Everything needed to answer in a place from any process.

    Attributes:
        session: the conversation.
        place_kind: whether one person reads it or several.
        recipient_id: the person the answer is for (Slack streams need it).
        recipient_account: that person's workspace.
        reply_to_id: the platform's id of the message answered.
        details: further values of the adapter, as text.
    """

    session: SessionKey
    place_kind: PlaceKind = "private"
    recipient_id: str = ""
    recipient_account: str = ""
    reply_to_id: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clean_fields(self, "recipient_id", "recipient_account", "reply_to_id")
        if not all(text.isascii() for pair in self.details.items() for text in pair):
            cleaned = {clean_text(name): clean_text(text) for name, text in self.details.items()}
            object.__setattr__(self, "details", cleaned)

    @property
    def shared(self) -> bool:
        """Whether several people talk there, so that speakers need names."""
        return self.place_kind != "private"
