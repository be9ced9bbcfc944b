"""What is noted about our own messages, because a bot can neither read nor find what it has sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

import structlog

from bot.conversation import Address, SessionKey
from bot.errors import StoreError
from bot.ports import KeyValueStore

log = structlog.get_logger("keepthread.telegram")

TOPIC_KEPT_S = 7 * 24 * 3600.0
"""People react to an answer soon."""

TRAIL_KEPT_S = 24 * 3600.0
TIMEOUT_S = 1.0
"""No answer waits longer than this for a note."""


@dataclass(slots=True)
class PartialAnswer:
    """The messages of an answer that is not finished. A try after a crash takes them back.

    Attributes:
        name: of the note, made from the address; `""`: nothing is noted.
        ids: the messages of this try.
    """

    key_values: KeyValueStore
    name: str
    ids: list[int] = field(default_factory=list)
    _is_noted: bool = False

    async def left_behind(self) -> list[int]:
        """Messages of an earlier try. Raises nothing."""
        if not self.name:
            return []
        try:
            async with asyncio.timeout(TIMEOUT_S):
                noted = await self.key_values.get(self.name)
        except (TimeoutError, StoreError) as error:
            log.info("what an earlier try left is unknown", error=repr(error))
            return []
        self._is_noted = self._is_noted or bool(noted)
        return [int(one) for one in noted.split(",") if one and int(one) not in self.ids]

    async def add(self, message_id: int) -> None:
        """A message of the answer is there, and more is to come. Raises nothing."""
        if not self.name or message_id in self.ids:
            return
        self.ids.append(message_id)
        self._is_noted = True
        await _courtesy(
            self.key_values.set(self.name, ",".join(map(str, self.ids)), ttl_s=TRAIL_KEPT_S)
        )

    async def close(self) -> None:
        """The answer is finished. Raises nothing."""
        if self._is_noted:
            self._is_noted = False
            await _courtesy(self.key_values.delete(self.name))


class SentMessages:
    """Notes of one bot.

    Args:
        account: its id.
    """

    def __init__(self, key_values: KeyValueStore, account: str) -> None:
        self._key_values = key_values
        self._account = account

    def partial_answer(self, address: Address) -> PartialAnswer:
        name = f"trail:{address.session}:{address.reply_to_id}" if address.reply_to_id else ""
        return PartialAnswer(self._key_values, name)

    async def note_topic(self, session: SessionKey, message_ids: Sequence[str]) -> None:
        """Messages of ours are in that topic: reactions to them do not tell. Raises nothing."""
        for one in message_ids if session.thread else ():
            name = self._topic(session.place, one)
            await _courtesy(self._key_values.set(name, session.thread, ttl_s=TOPIC_KEPT_S))

    async def topic_of(self, chat_id: int, message_id: int) -> str:
        """The topic of a message of ours; `""` outside of topics. Raises StoreError."""
        return await self._key_values.get(self._topic(str(chat_id), str(message_id)))

    def _topic(self, chat: str, message_id: str) -> str:
        return f"topic:telegram/{self._account}/{chat}:{message_id}"


async def _courtesy(note: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await note
    except (TimeoutError, StoreError) as error:
        log.info("something could not be noted", error=repr(error))
