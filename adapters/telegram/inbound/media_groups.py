"""Joins messages that were sent as one: media groups (albums), pastes that the app cut, and comments with forwards.

The inbox makes one turn of messages that wait together; here it is known how long to wait, and that
the further parts, which mention nobody, are for the bot because the first one was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from adapters.telegram.inbound.parse import ParsedMessage
from bot.cache import TTLCache

HOLD_S = 1.2
"""The next part follows within a second, also over a slow line."""

COMMENT_WAIT_S = 0.5
"""Apps send a comment first, and what it forwards some tenths of a second later."""

PASTE_GAP = timedelta(seconds=3)
COMMENT_GAP = timedelta(seconds=2)
MAX_FORWARDS = 20
"""Most forwards of one person that are kept for a comment that may follow."""

REMEMBERED_S = 120.0
MAX_REMEMBERED = 2_000

_Key = tuple[str, str]


class MediaGroupBuffer:
    """Remembers for two minutes which media groups, pastes and comments are for the bot.

    Args:
        wait_s: how long a turn waits for the next part of a media group or paste.
        comment_wait_s: how long it waits for what its author forwards with a comment.
    """

    def __init__(
        self,
        wait_s: float = HOLD_S,
        comment_wait_s: float = COMMENT_WAIT_S,
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wait_s = wait_s
        self._comment_wait_s = comment_wait_s
        self._admitted: TTLCache[_Key, None] = TTLCache(MAX_REMEMBERED, REMEMBERED_S, timer)
        self._waiting: TTLCache[_Key, list[ParsedMessage]] = TTLCache(
            MAX_REMEMBERED, REMEMBERED_S, timer
        )
        self._pasted_at: TTLCache[_Key, datetime] = TTLCache(MAX_REMEMBERED, REMEMBERED_S, timer)
        self._said_at: TTLCache[_Key, datetime] = TTLCache(MAX_REMEMBERED, REMEMBERED_S, timer)

    def is_continuation(self, parsed: ParsedMessage) -> bool:
        """Whether `parsed` continues a message that was for the bot."""
        if parsed.is_forward and _is_within(
            self._said_at.get(_writer(parsed)), parsed, COMMENT_GAP
        ):
            return True
        if parsed.media_group_id:
            return _group(parsed) in self._admitted
        is_plain = parsed.incoming.kind == "message" and not parsed.incoming.attachments
        return is_plain and _is_within(self._pasted_at.get(_writer(parsed)), parsed, PASTE_GAP)

    def hold_back(self, parsed: ParsedMessage) -> bool:
        """Keep a message that may turn out to be for the bot. Whether nothing else is to be done with it.

        It is a part of a media group without text, or a forward whose comment may follow.
        """
        if parsed.is_forward and not parsed.media_group_id:
            kept = [*self._forwards(parsed), parsed]
            self._waiting[_writer(parsed)] = kept[-MAX_FORWARDS:]
            return False
        if not parsed.media_group_id or parsed.incoming.text:
            return False
        group = _group(parsed)
        self._waiting[group] = [*self._waiting.get(group, []), parsed]
        return True

    def admit(self, parsed: ParsedMessage) -> list[ParsedMessage]:
        """Note that `parsed`, and so its further parts, are for the bot. The earlier parts that were held back."""
        writer, sent_at = _writer(parsed), parsed.incoming.sent_at
        self._said_at[writer] = sent_at
        if parsed.media_group_id:
            self._admitted[_group(parsed)] = None
            return self._waiting.pop(_group(parsed), [])
        if parsed.is_long:
            self._pasted_at[writer] = sent_at
        else:
            self._pasted_at.pop(writer, None)
        return self._forwards(parsed)

    def _forwards(self, parsed: ParsedMessage) -> list[ParsedMessage]:
        """Take what the author of `parsed` has just forwarded, held back."""
        waiting = self._waiting.pop(_writer(parsed), [])
        return [item for item in waiting if _is_within(item.incoming.sent_at, parsed, COMMENT_GAP)]

    def hold_s(self, parsed: ParsedMessage) -> float:
        """How long the turn waits for further parts, in seconds."""
        if parsed.media_group_id or parsed.is_long:
            return self._wait_s
        incoming = parsed.incoming
        is_comment = not (incoming.attachments or incoming.quoted) and incoming.kind == "message"
        return self._comment_wait_s if is_comment or parsed.is_forward else 0


def _is_within(at: datetime | None, parsed: ParsedMessage, gap: timedelta) -> bool:
    """Whether `parsed` was sent at most `gap` before or after `at`."""
    return at is not None and abs(parsed.incoming.sent_at - at) <= gap


def _group(parsed: ParsedMessage) -> _Key:
    return str(parsed.incoming.session), parsed.media_group_id


def _writer(parsed: ParsedMessage) -> _Key:
    return str(parsed.incoming.session), parsed.incoming.speaker.id
