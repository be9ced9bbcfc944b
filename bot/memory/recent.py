"""Where a person lately talked with the bot: `<prefix>:person:<platform>/<account>/<person>`."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any
from urllib.parse import quote

from bot.conversation import SessionKey, Speaker, Turn
from bot.errors import StoreError
from bot.memory.sessions import Sessions
from bot.ports import ConversationSummary
from bot.storage.errors import store_errors

MOST_LISTED = 20


class People:
    """An index for home pages: coarse in time, and never on the way of an answer.

    Args:
        note_again_s: the same place of a person is noted again after so long.
        most_known: places that are known to be noted, at most.
    """

    def __init__(
        self,
        client: Any,
        prefix: str,
        ttl_s: float,
        sessions: Sessions,
        *,
        note_again_s: float = 600.0,
        most_known: int = 10_000,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._ttl_s = int(ttl_s)
        self._sessions = sessions
        self._note_again_s = note_again_s
        self._most_known = most_known
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def note(self, turn: Turn) -> None:
        """Remember that these people talked there. A failure of Redis only costs the note."""
        lane = str(turn.session)
        for speaker in {one.speaker for one in turn.incoming}:
            key = self._key(turn.session.platform, speaker)
            now = time.time()
            if self._noted.get((key, lane), 0) > now - self._note_again_s:
                continue
            try:
                with store_errors():
                    async with self._client.pipeline(transaction=False) as pipe:
                        pipe.zadd(key, {lane: int(now)})
                        pipe.zremrangebyrank(key, 0, -MOST_LISTED - 1)
                        pipe.expire(key, self._ttl_s)
                        await pipe.execute()
            except StoreError:
                return
            self._noted[key, lane] = now
            while len(self._noted) > self._most_known:
                self._noted.popitem(last=False)

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        """The latest first; those that are forgotten by now are left out."""
        with store_errors():
            lanes = await self._client.zrevrange(self._key(platform, speaker), 0, MOST_LISTED - 1)
        found = [await self._sessions.look(SessionKey.parse(lane.decode())) for lane in lanes]
        listed = [
            ConversationSummary(info.session, info.turns, info.used_at)
            for info in found
            if info and info.turns
        ]
        return tuple(sorted(listed, key=lambda one: one.used_at, reverse=True))

    def _key(self, platform: str, speaker: Speaker) -> str:
        parts = (platform, speaker.account, speaker.id)
        return f"{self._prefix}:person:" + "/".join(quote(part, safe="") for part in parts)
