"""What belongs together though it comes in several messages: albums, and pastes that an app has cut.

The inbox makes one turn of what waits together; here it is known how long to wait, and that the
further parts, which mention nobody, are for the bot because the first one was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.telegram.inbound.parse import ParsedMessage

HOLD_S = 1.2
"""The next part follows within a second, also over a slow line."""

PASTE_GAP = timedelta(seconds=3)
KEPT_S = 120.0
_MOST = 2_000


@dataclass(slots=True)
class MediaGroupBuffer:
    """Remembers for two minutes which albums and pastes are for the bot.

    Attributes:
        wait_s: how long a turn waits for the next part.
    """

    wait_s: float = HOLD_S
    _albums: dict[tuple[str, str], float] = field(default_factory=dict)
    _waiting: dict[tuple[str, str], list[ParsedMessage]] = field(default_factory=dict)
    _pastes: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def is_continued(self, parsed: ParsedMessage) -> bool:
        """Whether `heard` goes on with something that was for the bot."""
        if parsed.album:
            return self._albums.get(_album(parsed), 0) > time.monotonic()
        before = self._pastes.get(_writer(parsed))
        is_plain = parsed.incoming.kind == "message" and not parsed.incoming.attachments
        return is_plain and before is not None and _gap(before, parsed) <= PASTE_GAP

    def keep_for_later(self, parsed: ParsedMessage) -> bool:
        """Keep a wordless part of an album that may turn out to be for the bot. Whether it was such a part."""
        if not parsed.album or parsed.incoming.text:
            return False
        self._bound()
        self._waiting.setdefault(_album(parsed), []).append(parsed)
        return True

    def admit(self, parsed: ParsedMessage) -> list[ParsedMessage]:
        """`heard` is for the bot, and with it what comes along. Earlier parts that were kept for it."""
        self._bound()
        if parsed.album:
            self._albums[_album(parsed)] = time.monotonic() + KEPT_S
            return self._waiting.pop(_album(parsed), [])
        if parsed.is_long:
            self._pastes[_writer(parsed)] = parsed.incoming.sent_at
        else:
            self._pastes.pop(_writer(parsed), None)
        return []

    def hold_s(self, parsed: ParsedMessage) -> float:
        """How long the turn waits for further parts."""
        return self.wait_s if parsed.album or parsed.is_long else 0

    def _bound(self) -> None:
        now = time.monotonic()
        if len(self._albums) >= _MOST:
            self._albums = {key: until for key, until in self._albums.items() if until > now}
        for kept in (self._waiting, self._pastes, self._albums):
            while len(kept) >= _MOST:
                del kept[next(iter(kept))]


def _gap(before: datetime, parsed: ParsedMessage) -> timedelta:
    return abs(parsed.incoming.sent_at - before)


def _album(parsed: ParsedMessage) -> tuple[str, str]:
    return str(parsed.incoming.session), parsed.album


def _writer(parsed: ParsedMessage) -> tuple[str, str]:
    return str(parsed.incoming.session), parsed.incoming.speaker.id
