"""Mentions in an answer: made harmless, so that they notify nobody."""

from __future__ import annotations

import re

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
