"""Recent conversations of a person: `<prefix>:person:<platform>/<account>/<person>`."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from bot.cache import TTLCache
from bot.conversation import SessionKey, Speaker, Turn
from bot.errors import StoreError
from bot.memory.sessions import Sessions
from bot.ports import ConversationSummary
from bot.storage.errors import store_errors

MAX_LISTED = 20


class RecentConversations:
    """Index of the conversations each person took part in lately, for home pages.

    It is written beside the turns and only every `record_every_s`, so that no answer waits for it.

    Args:
        record_every_s: a person's conversation is written again after so many seconds.
        max_cached: pairs of person and conversation that are known to be written, at most.
    """

    def __init__(
        self,
        client: Any,
        prefix: str,
        ttl_s: float,
        sessions: Sessions,
        *,
        record_every_s: float = 600.0,
        max_cached: int = 10_000,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._ttl_s = int(ttl_s)
        self._sessions = sessions
        self._recorded: TTLCache[tuple[str, str], None] = TTLCache(max_cached, record_every_s)

    async def record(self, turn: Turn) -> None:
        """Write that the turn's speakers talked there. A failure of Redis is dropped: the next turn writes it."""
        session = str(turn.session)
        for speaker in {item.speaker for item in turn.incoming}:
            key = self._key(turn.session.platform, speaker)
            if (key, session) in self._recorded:
                continue
            try:
                with store_errors():
                    async with self._client.pipeline(transaction=False) as pipe:
                        pipe.zadd(key, {session: int(time.time())})
                        pipe.zremrangebyrank(key, 0, -MAX_LISTED - 1)
                        pipe.expire(key, self._ttl_s)
                        await pipe.execute()
            except StoreError:
                return
            self._recorded[key, session] = None

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        """The latest first, without those that were forgotten meanwhile."""
        with store_errors():
            names = await self._client.zrevrange(self._key(platform, speaker), 0, MAX_LISTED - 1)
        infos = [await self._sessions.get(SessionKey.parse(name.decode())) for name in names]
        listed = [
            ConversationSummary(info.session, info.turns, info.used_at)
            for info in infos
            if info and info.turns
        ]
        return tuple(sorted(listed, key=lambda summary: summary.used_at, reverse=True))

    def _key(self, platform: str, speaker: Speaker) -> str:
        parts = (platform, speaker.account, speaker.id)
        return f"{self._prefix}:person:" + "/".join(quote(part, safe="") for part in parts)
