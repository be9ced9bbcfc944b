"""State of the loopback Bot API: chats, messages, drafts; and its limits on text and pace.

Limits: https://core.telegram.org/bots/api (4,096 UTF-16 units, 100 entities, 64 bytes of callback data) and
https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.telegram.tdlib import BadLink, checked_link

ENTITY_TYPES = {
    "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bold", "italic",
    "underline", "strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre",
    "text_link", "text_mention", "custom_emoji",
}  # fmt: skip


class Refusal(Exception):
    """Response that is not ok."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters


def bad(description: str) -> Refusal:
    return Refusal(400, f"Bad Request: {description}")


def units(text: str) -> int:
    """Length as Telegram counts it: UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


@dataclass(slots=True)
class Shown:
    """Message as the people in the chat see it."""

    id: int
    sender: int
    text: str
    thread: int | None = None
    entities: list[dict[str, Any]] = field(default_factory=list)
    buttons: list[list[dict[str, Any]]] = field(default_factory=list)
    reply_to: int | None = None
    file: tuple[str, bytes] | None = None
    edits: int = 0
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> list[str]:
        """The callback data of its buttons."""
        return [button["callback_data"] for row in self.buttons for button in row]


@dataclass(slots=True)
class Chat:
    """Chat, and the bot's rights in it.

    Attributes:
        direct_topics: of the direct messages of a channel, whose each topic is.
    """

    id: int
    type: str = "private"
    title: str = ""
    is_forum: bool = False
    topics: dict[int, str] = field(default_factory=dict)
    closed_topics: set[int] = field(default_factory=set)
    direct_topics: dict[int, int] = field(default_factory=dict)
    members: dict[int, str] = field(default_factory=dict)
    messages: dict[int, Shown] = field(default_factory=dict)
    drafts: dict[int | None, dict[str, Any]] = field(default_factory=dict)
    drafts_shown: list[str] = field(default_factory=list)
    actions: list[tuple[str, int | None]] = field(default_factory=list)
    reactions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    gone: str = ""
    migrated_to: int | None = None
    accepted_at: list[float] = field(default_factory=list)
    closed_until: float = 0

    def raw(self) -> dict[str, Any]:
        data: dict[str, Any] = {"id": self.id, "type": self.type}
        if self.type == "private":
            data["first_name"] = self.title
        else:
            data["title"] = self.title
        if self.is_forum:
            data["is_forum"] = True
        if self.direct_topics:
            data["is_direct_messages"] = True
        return data

    def thread_of(self, parameters: dict[str, Any]) -> int | None:
        """The topic that a call names (tdlib's `MessageTopic.cpp`).

        Raises:
            Refusal: there is no such topic, it is closed, or one has to be named.
        """
        thread, direct = (
            parameters.get(name) for name in ("message_thread_id", "direct_messages_topic_id")
        )
        if direct is not None:
            if not self.direct_topics:
                raise bad("chat is not an administered channel direct messages chat")
            if int(direct) not in self.direct_topics:
                raise bad("topic not found")
            return int(direct)
        if self.direct_topics:
            raise bad("channel direct messages topic must be specified")
        if thread is None:
            return None
        if int(thread) not in self.topics:
            raise bad("message thread not found")
        if int(thread) in self.closed_topics:
            raise bad("TOPIC_CLOSED")
        return int(thread)

    def seen(self, thread: int | None = None, *, sender: int) -> list[Shown]:
        """Messages of one sender in one topic (None: outside of topics), oldest first."""
        return [m for m in self.messages.values() if m.thread == thread and m.sender == sender]


@dataclass(slots=True)
class Flood:
    """Flood control. 0 switches a limit off.

    Attributes:
        overall_per_second: messages to all chats together.
        refused: how many calls were told to wait.
        ignored: how many calls came before that time was over.
    """

    chat_interval_s: float = 0
    group_per_minute: int = 0
    edits_too: bool = True
    overall_per_second: int = 0
    refused: int = 0
    ignored: int = 0
    _accepted_at: list[float] = field(default_factory=list)

    def check(self, chat: Chat, *, is_edit: bool = False) -> None:
        now = time.monotonic()
        if now < chat.closed_until:
            self.ignored += 1
            self._refuse(chat, chat.closed_until - now)
        if is_edit and not self.edits_too:
            return
        if self.chat_interval_s and chat.accepted_at:
            wait_s = chat.accepted_at[-1] + self.chat_interval_s - now
            if wait_s > 0:
                self._refuse(chat, wait_s)
        recent = [at for at in chat.accepted_at if at > now - 60]
        if (
            self.group_per_minute
            and chat.type != "private"
            and len(recent) >= self.group_per_minute
        ):
            self._refuse(chat, recent[-self.group_per_minute] + 60 - now)
        # A little less than a second, because messages are not on their way equally long.
        lately = [at for at in self._accepted_at if at > now - 0.8]
        if self.overall_per_second and len(lately) >= self.overall_per_second:
            self._refuse(chat, 1)
        chat.accepted_at.append(now)
        self._accepted_at = [*lately, now]

    def _refuse(self, chat: Chat, wait_s: float) -> None:
        self.refused += 1
        seconds = max(1, math.ceil(wait_s))
        chat.closed_until = time.monotonic() + seconds - 0.005
        raise Refusal(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def checked_text(text: str, entities: list[dict[str, Any]], limit: int = 4096) -> str:
    """`text` as Telegram would keep it.

    Raises:
        Refusal: empty, too long, or an entity that does not fit its text.
    """
    if not text.strip():
        raise bad("message text is empty")
    if units(text) > limit:
        raise bad("message is too long" if limit == 4096 else "message caption is too long")
    raw = text.encode("utf-16-le")
    for entity in entities:
        kind, start, length = entity["type"], entity["offset"], entity["length"]
        if kind not in ENTITY_TYPES:
            raise bad(f"unsupported entity type {kind}")
        if start < 0 or length <= 0 or 2 * (start + length) > len(raw):
            raise bad(f"entity {kind} beyond the text at {start}+{length}")
        for edge in (start, start + length):
            unit = raw[2 * edge : 2 * edge + 2]
            if unit and 0xDC <= unit[1] <= 0xDF:
                raise bad("entity begins or ends in the middle of a UTF-16 symbol")
        if kind == "text_link":
            try:
                checked_link(entity["url"])
            except BadLink as error:
                raise bad(f"entity URL '{entity['url']}' is invalid: {error}") from None
    return text.rstrip()


def checked_buttons(markup: dict[str, Any] | None) -> list[list[dict[str, Any]]]:
    rows: list[list[dict[str, Any]]] = (markup or {}).get("inline_keyboard", [])
    for row in rows:
        for button in row:
            if not 1 <= len(button.get("callback_data", "").encode()) <= 64:
                raise bad("BUTTON_DATA_INVALID")
            if not button.get("text"):
                raise bad("text buttons are unallowed in the inline keyboard")
    return rows
