"""A connection on which a command leaves at once, without waiting its turn in the event loop.

Between a platform's acceptance of an answer and the note of it lies the only moment in which a crash
leads to a repeated answer. A pool makes a task wait several times there, and with hundreds of turns each
wait is long. Here nothing is awaited before the command is with the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

import structlog
from redis.asyncio import Connection, Redis
from redis.exceptions import RedisError

from bot.tasks import cancel_all

log = structlog.get_logger("keepthread.courier")


class Courier:
    """Sends commands of one Redis server; replies come in the order of the commands.

    Args:
        client: a standalone client without read time-out; its pool makes the connection.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._connection: Connection | None = None
        self._replies: deque[asyncio.Future[Any]] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def be_ready(self) -> None:
        """Open the connection unless it is open. A failure shows when something is sent."""
        if self._connection is not None:
            return
        async with self._opening:
            if self._connection is not None:
                return
            pool: Any = self._client.connection_pool
            connection = pool.make_connection()
            try:
                await connection.connect()
            except (RedisError, OSError) as error:
                log.info("no connection of its own", error=repr(error))
                return
            self._connection = connection
            self._reader = asyncio.create_task(self._read(connection), name="courier")

    async def send(self, *words: Any) -> Any:
        """The reply to a command that left before anything was awaited. Raises RedisError."""
        connection = self._connection
        if connection is None:
            raise RedisError("the courier is not ready")
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        await connection.send_packed_command(connection.pack_command(*words), check_health=False)
        return await reply

    async def aclose(self) -> None:
        if self._reader is not None:
            await cancel_all((self._reader,))

    async def _read(self, connection: Connection) -> None:
        failure: Exception = RedisError("the connection is closed")
        try:
            while True:
                try:
                    answer = await connection.read_response()
                except RedisError as error:
                    if not connection.is_connected:
                        failure = error
                        return
                    answer = error
                reply = self._replies.popleft()
                if reply.done():
                    continue
                if isinstance(answer, Exception):
                    reply.set_exception(answer)
                else:
                    reply.set_result(answer)
        except OSError as error:
            failure = RedisError(repr(error))
        finally:
            self._connection = None
            for reply in self._replies:
                if not reply.done():
                    reply.set_exception(failure)
            self._replies.clear()
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)
