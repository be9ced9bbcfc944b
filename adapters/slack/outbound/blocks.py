"""Blocks of a message: Markdown, plain text for notifications, buttons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from adapters.slack import action_ids
from bot.conversation import SessionKey
from bot.ports import CommandButton

Block = dict[str, Any]

FALLBACK_CHARS = 2_900
_SECTION_CHARS = 2_900
_LABEL_CHARS = 75
_MAX_BUTTONS = 25
_ZERO_WIDTH_SPACE = "\u200b"

_MENTIONS = re.compile(
    r"<(?=!(?:channel|here|everyone|group|subteam)\b|@[A-Z0-9]{2,40}[|>])"
    r"|(?<![\w.])@(?=(?:channel|here|everyone|group)\b)"
)
_UNFINISHED_MENTION = re.compile(r"(?:<[!@]?[A-Za-z0-9]{0,40}|@\w{0,10})\Z")


def disable_mentions(markdown: str) -> str:
    """`markdown` whose mentions notify nobody: a zero-width space follows their first character."""
    return _MENTIONS.sub(lambda found: found[0] + _ZERO_WIDTH_SPACE, markdown)


def disable_mentions_so_far(markdown: str) -> str:
    """`disable_mentions` of a growing text: an unfinished mention at its end is held back."""
    unfinished = _UNFINISHED_MENTION.search(markdown)
    return disable_mentions(markdown[: unfinished.start()] if unfinished else markdown)


def escape(text: str) -> str:
    """`text` escaped for mrkdwn (https://docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fallback_text(markdown: str) -> str:
    """Text for notifications, of which Slack shows no blocks."""
    short = markdown[:FALLBACK_CHARS]
    return escape(short.strip() + ("…" if len(short) < len(markdown) else ""))


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
