"""Store of sent messages: a bot can neither read nor find what it has sent, so their ids are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

import structlog

from bot.conversation import Address, SessionKey
from bot.errors import StoreError
from bot.ports import KeyValueStore

log = structlog.get_logger("keepthread.telegram")

TOPIC_TTL_S = 7 * 24 * 3600.0
"""People react to an answer soon."""

PARTIAL_ANSWER_TTL_S = 24 * 3600.0
TIMEOUT_S = 1.0
"""Longest time that an answer waits for the store."""


@dataclass(slots=True)
class PartialAnswer:
    """Messages of an answer that is not finished. A try after a crash deletes them.

    Attributes:
        key: in the store, made from the address; `""`: nothing is kept.
        ids: the messages of this try.
    """

    key_values: KeyValueStore
    key: str
    ids: list[int] = field(default_factory=list)
    _is_stored: bool = False

    async def leftover_ids(self) -> list[int]:
        """Messages of an earlier try. Raises nothing."""
        if not self.key:
            return []
        try:
            async with asyncio.timeout(TIMEOUT_S):
                stored = await self.key_values.get(self.key)
        except (TimeoutError, StoreError) as error:
            log.info("partial answer unknown", error=repr(error))
            return []
        self._is_stored = self._is_stored or bool(stored)
        ids = [int(id_) for id_ in stored.split(",") if id_]
        return [id_ for id_ in ids if id_ not in self.ids]

    async def add(self, message_id: int) -> None:
        """Record a message of the answer; more are to come. Raises nothing."""
        if not self.key or message_id in self.ids:
            return
        self.ids.append(message_id)
        self._is_stored = True
        await _best_effort(
            self.key_values.set(self.key, ",".join(map(str, self.ids)), ttl_s=PARTIAL_ANSWER_TTL_S)
        )

    async def forget(self) -> None:
        """Delete the record: the answer is finished. Raises nothing."""
        if self._is_stored:
            self._is_stored = False
            await _best_effort(self.key_values.delete(self.key))


class SentMessages:
    """Records of the messages that one bot has sent.

    Args:
        account: the bot's id.
    """

    def __init__(self, key_values: KeyValueStore, account: str) -> None:
        self._key_values = key_values
        self._account = account

    def partial_answer(self, address: Address) -> PartialAnswer:
        key = f"trail:{address.session}:{address.reply_to_id}" if address.reply_to_id else ""
        return PartialAnswer(self._key_values, key)

    async def add_topic(self, session: SessionKey, message_ids: Sequence[str]) -> None:
        """Record the topic of sent messages: reactions to them do not tell it. Raises nothing."""
        if not session.thread:
            return
        for message_id in message_ids:
            key = self._topic_key(session.place, message_id)
            await _best_effort(self._key_values.set(key, session.thread, ttl_s=TOPIC_TTL_S))

    async def topic_of(self, chat_id: int, message_id: int) -> str:
        """The topic of a sent message; `""` outside of topics. Raises StoreError."""
        return await self._key_values.get(self._topic_key(str(chat_id), str(message_id)))

    def _topic_key(self, chat: str, message_id: str) -> str:
        return f"topic:telegram/{self._account}/{chat}:{message_id}"


async def _best_effort(write: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await write
    except (TimeoutError, StoreError) as error:
        log.info("sent message not recorded", error=repr(error))
