"""Limit of answers to other bots in a row, so that two bots cannot loop.

Counted for each conversation in the core's key-value store, so that all processes count together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.cache import TTLCache

if TYPE_CHECKING:
    from bot.conversation import SessionKey
    from bot.ports import KeyValueStore

MAX_IN_A_ROW = 5
"""Automated messages answered in a conversation without a person's message between them."""

TTL_S = 3600.0
"""After so long the count begins anew."""

_MAX_SESSIONS = 10_000


def _counted() -> TTLCache[str, None]:
    return TTLCache(_MAX_SESSIONS, TTL_S)


@dataclass(slots=True)
class AutomatedMessages:
    """Count of answered automated messages. Every call raises StoreError."""

    store: KeyValueStore
    _counted: TTLCache[str, None] = field(default_factory=_counted)

    async def allow(self, session: SessionKey) -> bool:
        """Whether one more may be answered; it is counted then."""
        name = _name(session)
        count = await self.store.get(name)
        if count.isdecimal() and int(count) >= MAX_IN_A_ROW:
            return False
        await self.store.set(name, str(int(count or 0) + 1), ttl_s=TTL_S)
        self._counted[name] = None
        return True

    async def reset(self, session: SessionKey) -> None:
        """A person wrote. Conversations that this process counted nothing of are not asked for."""
        name = _name(session)
        if self._counted.pop(name, name) is None:
            await self.store.delete(name)


def _name(session: SessionKey) -> str:
    return f"slack/automated/{session}"
