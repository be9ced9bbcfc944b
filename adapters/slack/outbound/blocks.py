"""Blocks of a message: Markdown, plain text for notifications, buttons."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from adapters.slack import action_ids
from bot.conversation import SessionKey
from bot.ports import CommandButton
from bot.text import is_inside_symbol

Block = dict[str, Any]

FALLBACK_BYTES = 3_500
"""Most of a notification's text. Slack refuses an edit whose text has over 4,000 bytes after escaping, though
it documents characters, and though the blocks are what it shows."""

_EMOJI_BYTES = 60
"""Slack stores an emoji by its name; the longest ones have so many bytes."""

_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SECTION_CHARS = 2_900
_LABEL_CHARS = 75
_MAX_BUTTONS = 25


def escape(text: str) -> str:
    """`text` escaped for mrkdwn (https://docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fallback_text(markdown: str, max_bytes: int = FALLBACK_BYTES) -> str:
    """Text for notifications, of which Slack shows no blocks: escaped, of at most `max_bytes` as stored."""
    text = markdown[: max_bytes + 1].strip()
    left = max_bytes - len("…".encode())
    for number, char in enumerate(text):
        left -= _stored_bytes(char)
        if left < 0:
            return _cut(text, number)
    return escape(text) if len(markdown) <= max_bytes else _cut(text, len(text))


def _cut(text: str, end: int) -> str:
    while is_inside_symbol(text, end):
        end -= 1
    return escape(text[:end].rstrip()) + "…"


def _stored_bytes(char: str) -> int:
    if char.isascii():
        return len(_ESCAPED.get(char, char))
    if unicodedata.category(char) in ("So", "Sk", "Me") or char in "‼⁉〰〽":
        return _EMOJI_BYTES
    return len(char.encode())


def stored_length(text: str) -> int:
    """Bytes of `text` as Slack stores it, or more: escaped, and with emoji by their names."""
    return sum(map(_stored_bytes, text))


def markdown_blocks(markdown: str) -> list[Block]:
    return [{"type": "markdown", "text": markdown}]


def section_blocks(markdown: str) -> list[Block]:
    """The same text for where Slack refuses Markdown blocks: unformatted, nothing left out."""
    escaped = escape(markdown)
    blocks = []
    while escaped:
        end = _SECTION_CHARS if len(escaped) > _SECTION_CHARS else len(escaped)
        entity = escaped.rfind("&", end - 5, end)
        if end < len(escaped) and entity >= 0 and ";" not in escaped[entity:end]:
            end = entity
        if escaped[:end].strip():
            text = {"type": "mrkdwn", "text": escaped[:end], "verbatim": True}
            blocks.append({"type": "section", "text": text})
        escaped = escaped[end:]
    return blocks


def feedback_buttons(session: SessionKey) -> list[Block]:
    """https://docs.slack.dev/reference/block-kit/block-elements/feedback-buttons-element"""
    element = {
        "type": "feedback_buttons",
        "action_id": action_ids.FEEDBACK,
        "positive_button": _choice("Good answer", session, "up"),
        "negative_button": _choice("Bad answer", session, "down"),
    }
    return [{"type": "context_actions", "elements": [element]}]


def stop_button(session: SessionKey) -> list[Block]:
    return _row(
        [_button("Stop", action_ids.STOP, action_ids.button_value(session), style="danger")]
    )


def retry_button(session: SessionKey) -> list[Block]:
    return _row([_button("Answer again", action_ids.RETRY, action_ids.button_value(session))])


def offer_buttons(session: SessionKey, offers: Sequence[CommandButton]) -> list[Block]:
    """A button for each offer. Its value holds the command that pressing it runs."""
    return _row(
        [
            _button(
                offer.label,
                f"{action_ids.OFFER}_{number}",
                action_ids.button_value(session, offer.command),
            )
            for number, offer in enumerate(offers[:_MAX_BUTTONS])
        ]
    )


def _row(buttons: list[Block]) -> list[Block]:
    return [{"type": "actions", "elements": buttons}] if buttons else []


def _button(label: str, action: str, value: str, **more: Any) -> Block:
    text = _plain(label)
    return {"type": "button", "text": text, "action_id": action, "value": value, **more}


def _choice(label: str, session: SessionKey, argument: str) -> Block:
    return {"text": _plain(label), "value": action_ids.button_value(session, argument)}


def _plain(label: str) -> Block:
    return {"type": "plain_text", "text": label[:_LABEL_CHARS]}
