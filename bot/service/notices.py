"""Notices to people whose mailbox is full."""

from __future__ import annotations

from collections.abc import Mapping

from bot.background import BackgroundTasks
from bot.cache import Throttle
from bot.conversation import Address, Incoming
from bot.ports import Connection

FULL = (
    "I still have many messages to answer here, so I leave this one out. "
    "Please send it again in a while, or say “stop”."
)
NOTICE_EVERY_S = 30.0


class FullMailboxNotices:
    """Posts `FULL`, once in a while for each conversation.

    In the background: a place whose mailbox is full is busy, and adapters do not wait for it.

    Args:
        connections: the open connections, by platform.
    """

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        self._connections = connections
        self._throttle = Throttle(NOTICE_EVERY_S)
        self._tasks = BackgroundTasks()

    def post(self, incoming: Incoming) -> None:
        connection = self._connections.get(incoming.session.platform)
        if connection is not None and self._throttle.allow(incoming.session):
            self._tasks.add("full mailbox notice", _post(connection, incoming.address))

    async def aclose(self) -> None:
        await self._tasks.aclose()


async def _post(connection: Connection, address: Address) -> None:
    reply = connection.reply(address)
    try:
        await reply.post(FULL)
    finally:
        await reply.aclose()
