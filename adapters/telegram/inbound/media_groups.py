"""Joins messages that were sent as one: media groups (albums), and pastes that the app cut.

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

PASTE_GAP = timedelta(seconds=3)
REMEMBERED_S = 120.0
MAX_REMEMBERED = 2_000

_Key = tuple[str, str]


class MediaGroupBuffer:
    """Remembers for two minutes which media groups and pastes are for the bot.

    Args:
        wait_s: how long a turn waits for the next part.
    """

    def __init__(
        self, wait_s: float = HOLD_S, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._wait_s = wait_s
        self._admitted: TTLCache[_Key, None] = TTLCache(MAX_REMEMBERED, REMEMBERED_S, timer)
        self._waiting: TTLCache[_Key, list[ParsedMessage]] = TTLCache(
            MAX_REMEMBERED, REMEMBERED_S, timer
        )
        self._pasted_at: TTLCache[_Key, datetime] = TTLCache(MAX_REMEMBERED, REMEMBERED_S, timer)

    def is_continuation(self, parsed: ParsedMessage) -> bool:
        """Whether `parsed` continues a message that was for the bot."""
        if parsed.media_group_id:
            return _group(parsed) in self._admitted
        pasted_at = self._pasted_at.get(_writer(parsed))
        is_plain = parsed.incoming.kind == "message" and not parsed.incoming.attachments
        return is_plain and pasted_at is not None and _gap(pasted_at, parsed) <= PASTE_GAP

    def hold_back(self, parsed: ParsedMessage) -> bool:
        """Keep a part of a media group without text, which may turn out to be for the bot. Whether it was one."""
        if not parsed.media_group_id or parsed.incoming.text:
            return False
        group = _group(parsed)
        self._waiting[group] = [*self._waiting.get(group, []), parsed]
        return True

    def admit(self, parsed: ParsedMessage) -> list[ParsedMessage]:
        """Note that `parsed`, and so its further parts, are for the bot. The earlier parts that were held back."""
        if parsed.media_group_id:
            self._admitted[_group(parsed)] = None
            return self._waiting.pop(_group(parsed), [])
        if parsed.is_long:
            self._pasted_at[_writer(parsed)] = parsed.incoming.sent_at
        else:
            self._pasted_at.pop(_writer(parsed), None)
        return []

    def hold_s(self, parsed: ParsedMessage) -> float:
        """How long the turn waits for further parts, in seconds."""
        return self._wait_s if parsed.media_group_id or parsed.is_long else 0


def _gap(pasted_at: datetime, parsed: ParsedMessage) -> timedelta:
    return abs(parsed.incoming.sent_at - pasted_at)


def _group(parsed: ParsedMessage) -> _Key:
    return str(parsed.incoming.session), parsed.media_group_id


def _writer(parsed: ParsedMessage) -> _Key:
    return str(parsed.incoming.session), parsed.incoming.speaker.id
