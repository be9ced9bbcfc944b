"""What belongs together though it comes in several messages: albums, and pastes that an app has cut.

The inbox makes one turn of what waits together; here it is known how long to wait, and that the
further parts, which mention nobody, are for the bot because the first one was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.telegram.inbound.parse import Heard

HOLD_S = 1.2
"""The next part follows within a second, also over a slow line."""

PASTE_GAP = timedelta(seconds=3)
KEPT_S = 120.0
_MOST = 2_000


@dataclass(slots=True)
class Together:
    """Remembers for two minutes which albums and pastes are for the bot."""

    _albums: dict[tuple[str, str], float] = field(default_factory=dict)
    _waiting: dict[tuple[str, str], list[Heard]] = field(default_factory=dict)
    _pastes: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def is_continued(self, heard: Heard) -> bool:
        """Whether `heard` goes on with something that was for the bot."""
        if heard.album:
            return self._albums.get(_album(heard), 0) > time.monotonic()
        before = self._pastes.get(_writer(heard))
        is_plain = heard.incoming.kind == "message" and not heard.incoming.attachments
        return is_plain and before is not None and _gap(before, heard) <= PASTE_GAP

    def keep_for_later(self, heard: Heard) -> bool:
        """Keep a wordless part of an album that may turn out to be for the bot. Whether it was such a part."""
        if not heard.album or heard.incoming.text:
            return False
        self._bound()
        self._waiting.setdefault(_album(heard), []).append(heard)
        return True

    def admit(self, heard: Heard) -> list[Heard]:
        """`heard` is for the bot, and with it what comes along. Earlier parts that were kept for it."""
        self._bound()
        if heard.album:
            self._albums[_album(heard)] = time.monotonic() + KEPT_S
            return self._waiting.pop(_album(heard), [])
        if heard.is_long:
            self._pastes[_writer(heard)] = heard.incoming.sent_at
        else:
            self._pastes.pop(_writer(heard), None)
        return []

    @staticmethod
    def hold_s(heard: Heard) -> float:
        """How long the turn waits for further parts."""
        return HOLD_S if heard.album or heard.is_long else 0

    def _bound(self) -> None:
        now = time.monotonic()
        if len(self._albums) >= _MOST:
            self._albums = {key: until for key, until in self._albums.items() if until > now}
        for kept in (self._waiting, self._pastes, self._albums):
            while len(kept) >= _MOST:
                del kept[next(iter(kept))]


def _gap(before: datetime, heard: Heard) -> timedelta:
    return abs(heard.incoming.sent_at - before)


def _album(heard: Heard) -> tuple[str, str]:
    return str(heard.incoming.session), heard.album


def _writer(heard: Heard) -> tuple[str, str]:
    return str(heard.incoming.session), heard.incoming.speaker.id
