"""State of a Slack workspace: channels, messages, streams, statuses, files.

Nothing here knows of HTTP; `tests/fakes/slack/server.py` does.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
ChannelKind = Literal["channel", "private", "group"]

MAX_TEXT = 40_000
MAX_EDITED_BYTES = 4_000
"""Most of `text` in chat.update: documented as characters, in practice UTF-8 bytes after escaping."""
MAX_MARKDOWN = 12_000
MAX_SECTION = 3_000
MAX_BLOCKS = 50
MAX_VALUE = 2_000
MAX_LABEL = 75


class SlackRefusal(Exception):
    """`{"ok": false, "error": code, ...}`."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


@dataclass(slots=True)
class Message:
    """State of a message.

    Attributes:
        text: as displayed.
        fallback: the `text` argument, which notifications show.
        edits: earlier texts, oldest first.
        streaming: still growing.
    """

    ts: str
    channel: str
    user: str
    text: str = ""
    fallback: str = ""
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str = ""
    bot_id: str = ""
    app_id: str = ""
    metadata: Json | None = None
    edits: list[str] = field(default_factory=list)
    edited_at: str = ""
    streaming: bool = False
    streamed: bool = False
    stream_began: float = 0.0
    visible_to: str = ""
    files: list[Json] = field(default_factory=list)
    reactions: list[tuple[str, str]] = field(default_factory=list)
    unfurls: bool = True
    deleted: bool = False

    @property
    def buttons(self) -> list[Json]:
        """Every button under it: `text`, `action_id`, `value`."""
        return buttons_of(self.blocks)

    def to_json(self, *, with_metadata: bool) -> Json:
        """The message object, as conversations.history gives it."""
        data: Json = {
            "type": "message",
            "user": self.user,
            "ts": self.ts,
            "text": self.fallback or self.text,
        }
        if self.bot_id:
            data |= {"bot_id": self.bot_id, "app_id": self.app_id}
        if self.thread_ts:
            data["thread_ts"] = self.thread_ts
        if self.blocks:
            data["blocks"] = self.blocks
        if self.files:
            data["files"] = self.files
        if self.edited_at:
            data["edited"] = {"user": self.user, "ts": self.edited_at}
        if with_metadata and self.metadata is not None:
            data["metadata"] = self.metadata
        return data


@dataclass(slots=True)
class Channel:
    """A channel. `members` are user ids; the bot is one of them if `has_bot`."""

    id: str
    kind: ChannelKind = "channel"
    name: str = "general"
    members: set[str] = field(default_factory=set)
    has_bot: bool = True
    archived: bool = False
    messages: list[Message] = field(default_factory=list)

    def find(self, ts: str) -> Message | None:
        return next(
            (message for message in self.messages if message.ts == ts and not message.deleted), None
        )

    def has_thread(self, ts: str) -> bool:
        """Whether replies to `ts` are possible: the message is there, or replies keep its tombstone."""
        return self.find(ts) is not None or any(
            message.thread_ts == ts and not message.deleted for message in self.messages
        )


class Workspace:
    """State of one workspace, and its clock of unique time stamps."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.statuses: dict[tuple[str, str], list[tuple[float, str, list[str]]]] = {}
        self.sessions: dict[tuple[str, str], list[str]] = {}
        self.titles: dict[tuple[str, str], str] = {}
        self.prompts: dict[tuple[str, str], list[Json]] = {}
        self.homes: dict[str, Json] = {}
        self.people: dict[str, Json] = {}
        self.user_groups: dict[str, str] = {}
        self.files: dict[str, tuple[Json, bytes]] = {}
        self.lag_s = 0.0
        self._last_us = 0

    def new_ts(self) -> str:
        """Seconds since 1970 with six digits, never the same twice; `lag_s` ago."""
        self._last_us = max(self._last_us + 100, int((time.time() - self.lag_s) * 1e6))
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    def channel(self, id_: str) -> Channel:
        """Raises SlackRefusal if there is none."""
        if id_ not in self.channels:
            raise SlackRefusal("channel_not_found")
        return self.channels[id_]

    def add_message(self, message: Message) -> Message:
        self.channel(message.channel).messages.append(message)
        return message

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """Messages that everybody in the channel sees, in order; of one thread without its root, if given."""
        return [
            message
            for message in self.channels[channel].messages
            if not message.deleted
            and not message.visible_to
            and (thread_ts is None or (message.thread_ts == thread_ts and message.ts != thread_ts))
        ]

    def ephemerals(self, channel: str, user: str | None = None) -> list[Message]:
        """Ephemeral messages."""
        return [
            message
            for message in self.channels[channel].messages
            if message.visible_to and not message.deleted and user in (None, message.visible_to)
        ]

    def status(self, channel: str, thread_ts: str, lifetime_s: float = 120) -> str:
        """Status of a thread now, or "". Slack clears it after two minutes."""
        statuses = self.statuses.get((channel, thread_ts))
        if not statuses or time.monotonic() - statuses[-1][0] > lifetime_s:
            return ""
        return statuses[-1][1]


def buttons_of(blocks: list[Json]) -> list[Json]:
    """Buttons and feedback buttons in `blocks`, each with `text`, `action_id` and `value`."""
    found: list[Json] = []
    for block in blocks:
        for element in block.get("elements") or ():
            if not isinstance(element, dict):
                continue
            if element.get("type") == "feedback_buttons":
                found += [
                    {
                        "text": element[key]["text"]["text"],
                        "action_id": element["action_id"],
                        "value": element[key]["value"],
                    }
                    for key in ("positive_button", "negative_button")
                ]
            elif element.get("type") == "button":
                found.append({**element, "text": element["text"]["text"]})
    return found


def visible_text(text: str, blocks: list[Json]) -> str:
    """Displayed text of a message: that of its blocks if they have any, else its `text`."""
    return "".join(_block_text(block) for block in blocks) or unescape(text)


def unescape(mrkdwn: str) -> str:
    return mrkdwn.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def stored_bytes(text: str) -> int:
    """Bytes of `text` as Slack stores it: bare `&`, `<` and `>` escaped, emoji as `:name:`."""
    escaped = re.sub(r"&(?!(?:amp|lt|gt);)", "&amp;", text)
    emoji = len(re.findall(r"[\u2600-\u27bf\U0001f000-\U0001faff]", text))
    return len(escaped.encode()) + emoji * len(":white_check_mark:")


def check_edited_text(text: str) -> None:
    """Slack's limit on the text of an edit, blocks or not. Raises SlackRefusal."""
    if stored_bytes(text) > MAX_EDITED_BYTES:
        raise SlackRefusal("msg_too_long")


def check_blocks(blocks: Any) -> list[Json]:
    """Slack's limits on blocks (https://docs.slack.dev/reference/block-kit). Raises SlackRefusal."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackRefusal("invalid_blocks_format")
    if len(blocks) > MAX_BLOCKS:
        raise SlackRefusal("invalid_blocks", why="more than 50")
    markdown = 0
    action_ids: list[str] = []
    for block in blocks:
        match block.get("type"):
            case "markdown":
                words = block.get("text", "")
                if not words.strip():
                    raise SlackRefusal("invalid_blocks", why="empty markdown")
                markdown += len(words.encode("utf-16-le", "surrogatepass")) // 2
            case "section":
                words = (block.get("text") or {}).get("text", "")
                if not 0 < len(words) <= MAX_SECTION:
                    raise SlackRefusal("invalid_blocks", why="section length")
            case "actions" | "context_actions":
                if not block.get("elements"):
                    raise SlackRefusal("invalid_blocks", why="no elements")
                action_ids += [element.get("action_id", "") for element in block["elements"]]
            case "context" | "header" | "divider":
                pass
            case unknown:
                raise SlackRefusal("invalid_blocks", why=f"unknown type {unknown}")
    if markdown > MAX_MARKDOWN:
        raise SlackRefusal("msg_blocks_too_long")
    if len(set(action_ids)) != len(action_ids) or "" in action_ids:
        raise SlackRefusal("invalid_blocks", why="action ids")
    for button in buttons_of(blocks):
        if len(button.get("value", "")) > MAX_VALUE or not 0 < len(button["text"]) <= MAX_LABEL:
            raise SlackRefusal("invalid_blocks", why="button")
    return blocks


def check_metadata(metadata: Any) -> Json | None:
    """Slack's rules for message metadata. Raises SlackRefusal."""
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or not metadata.get("event_type"):
        raise SlackRefusal("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise SlackRefusal("invalid_metadata_format")
    if len(str(metadata)) > 8_000:
        raise SlackRefusal("metadata_too_large")
    return metadata


def _block_text(block: Json) -> str:
    if block.get("type") == "markdown":
        return str(block.get("text", ""))
    if block.get("type") in ("section", "header"):
        return unescape(str((block.get("text") or {}).get("text", "")))
    return ""
