"""Content of a message: the one reader of its text, blocks, attachments and files. Pure.

It serves live, forwarded and seeded messages alike. Everything it returns is raw mrkdwn, for
`adapters.slack.inbound.mrkdwn.decode`. Shapes: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.slack.api.attachments import attachment_of
from adapters.slack.api.payload import Json, get_object, get_objects, get_text
from adapters.slack.inbound.blocks_reader import escape, read_blocks
from bot.conversation import Attachment

MAX_CHARS = 60_000
"""Characters read of one message; Slack's own limit for a text is 40,000."""

MAX_ATTACHMENTS = 20
"""Attachments read of one message (Slack: https://docs.slack.dev/messaging#limits)."""

MAX_FILES = 20

_MENTION_LABEL = re.compile(r"<([@#!][^<>|]*)\|[^<>]*>")


@dataclass(frozen=True, slots=True)
class MessageContent:
    """Content of a message.

    Attributes:
        text: its own words, with those of its blocks and of an app's attachments.
        quoted: words of the messages that it forwards or shares.
        files: its files, and those of the messages that it forwards.
        is_unreadable: it holds something, but no word and no file of it can be read.
    """

    text: str = ""
    quoted: str = ""
    files: tuple[Attachment, ...] = ()
    is_unreadable: bool = False


def read_message(message: Json) -> MessageContent:
    """The content of a message object. Raises nothing, whatever it holds."""
    attachments = get_objects(message, "attachments")[:MAX_ATTACHMENTS]
    shares = tuple(item for item in attachments if _is_share(item))
    own = (item for item in attachments if not _is_share(item) and not _is_unfurl(item))
    parts = [*read_blocks(_blocks(message)), *(_attachment_text(item) for item in own)]
    text = _with_new_words(get_text(message, "text")[:MAX_CHARS], parts)
    quoted = "\n\n".join(filter(None, map(_share_text, shares)))[:MAX_CHARS]
    files = _files(message, shares)
    holds_something = bool(message.get("blocks") or message.get("attachments"))
    is_unreadable = holds_something and not (text.strip() or quoted or files)
    return MessageContent(text, quoted, files, is_unreadable)


def _blocks(message: Json) -> tuple[Json, ...]:
    """The blocks of a message that may say more than its text: a person's rich text never does."""
    blocks = get_objects(message, "blocks")
    if message.get("bot_id") or not get_text(message, "text").strip():
        return blocks
    return tuple(block for block in blocks if block.get("type") != "rich_text")


def _is_share(attachment: Json) -> bool:
    """Whether it is a forwarded or linked message."""
    return bool(attachment.get("is_share") or attachment.get("is_msg_unfurl"))


def _is_unfurl(attachment: Json) -> bool:
    """Whether Slack made it of a link in the text."""
    return bool(attachment.get("from_url") or attachment.get("original_url"))


def _files(message: Json, shares: tuple[Json, ...]) -> tuple[Attachment, ...]:
    found = {
        get_text(file, "id") or str(number): file
        for number, file in enumerate(
            [
                *get_objects(message, "files"),
                *(file for share in shares for file in get_objects(share, "files")),
            ]
        )
    }
    return tuple(attachment_of(file) for file in [*found.values()][:MAX_FILES])


def _share_text(attachment: Json) -> str:
    author = escape(get_text(attachment, "author_name").strip())
    blocks = [
        text
        for item in get_objects(attachment, "message_blocks")
        for text in read_blocks(get_objects(get_object(item, "message"), "blocks"))
    ]
    blocks += read_blocks(get_objects(attachment, "blocks"))
    text = _with_new_words(get_text(attachment, "text"), blocks)
    if not text.strip() and not attachment.get("files"):
        text = get_text(attachment, "fallback")
    text = text.strip()
    return f"{author}: {text}" if author and text else text


def _attachment_text(attachment: Json) -> str:
    """Words of an attachment that an app, or a pasted table, brought along."""
    title, link = escape(get_text(attachment, "title")), get_text(attachment, "title_link")
    if title and link.startswith(("https://", "http://")):
        title = f"<{link}|{title}>"
    lines = [
        get_text(attachment, "pretext"),
        escape(get_text(attachment, "author_name")),
        title,
        get_text(attachment, "text"),
        *read_blocks(get_objects(attachment, "blocks")),
        *(_field_text(item) for item in get_objects(attachment, "fields")),
        escape(get_text(attachment, "footer")),
    ]
    text = "\n".join(line.strip() for line in lines if line.strip())
    return text or get_text(attachment, "fallback").strip()


def _field_text(field: Json) -> str:
    title, value = escape(get_text(field, "title")), get_text(field, "value")
    return f"{title}: {value}" if title and value else title or value


def _with_new_words(text: str, parts: list[str]) -> str:
    """`text` and those `parts` whose words it lacks: apps repeat their blocks in the text, people's clients do."""
    known = _words(text)
    lines = [text.strip()]
    for part in parts:
        room = MAX_CHARS - len(known)
        words = _words(part[: max(0, room)])
        if words and words not in known:
            lines.append(part[:room].strip())
            known += words
    return "\n".join(filter(None, lines))


def _words(text: str) -> str:
    """The letters and digits of `text`, to compare two forms of it. Labels of mentions may differ."""
    return "".join(filter(str.isalnum, _MENTION_LABEL.sub(r"<\1>", text))).lower()
