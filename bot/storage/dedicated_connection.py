"""One Redis connection outside the pool: a command reaches the socket before the first await.

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

from bot.background import cancel_all
from bot.storage.fail_over import is_stale

log = structlog.get_logger("keepthread.redis")

REPLY_TIMEOUT_S = 5.0


class DedicatedConnection:
    """One connection to one Redis server for pipelined commands; replies come in the order of the commands.

    Args:
        client: a standalone client; its pool makes the connection.
        reply_timeout_s: a connection on which a reply takes longer is closed.
    """

    def __init__(self, client: Redis, *, reply_timeout_s: float = REPLY_TIMEOUT_S) -> None:
        self._client = client
        self._reply_timeout_s = reply_timeout_s
        self._open: _OpenConnection | None = None
        self._opening = asyncio.Lock()

    async def ensure_open(self) -> None:
        """Open the connection unless it is open. After a failure `send` raises."""
        if self._is_open():
            return
        async with self._opening:
            if self._is_open():
                return
            await self.aclose()  # it may be from before a fail-over
            pool: Any = self._client.connection_pool
            connection = pool.make_connection()
            try:
                await connection.connect()
            except (RedisError, OSError) as error:
                log.info("dedicated connection not opened", error=repr(error))
                return
            # Its reader waits for the next reply, however long no command is sent.
            connection.socket_timeout = None
            self._open = _OpenConnection(connection, self._reply_timeout_s)

    async def send(self, *command: Any) -> Any:
        """The reply to a command that is sent before anything is awaited.

        Raises:
            RedisError: also if no reply comes within `reply_timeout_s`: a dead connection is silent.
        """
        if self._open is None or not self._is_open():
            raise RedisError("the dedicated connection is not open")
        return await self._open.send(command)

    async def aclose(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            await opened.aclose()

    def _is_open(self) -> bool:
        return self._open is not None and self._open.is_open


class _OpenConnection:
    """An open connection, its reader, and the futures of the replies to come."""

    def __init__(self, connection: Connection, reply_timeout_s: float) -> None:
        self._connection = connection
        self._reply_timeout_s = reply_timeout_s
        self._replies: deque[asyncio.Future[Any]] = deque()
        self._reader = asyncio.create_task(self._read(), name="dedicated-connection-reader")

    @property
    def is_open(self) -> bool:
        is_current = not is_stale(self._connection)
        return is_current and self._connection.is_connected and not self._reader.done()

    async def send(self, command: tuple[Any, ...]) -> Any:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        packed = self._connection.pack_command(*command)
        try:
            async with asyncio.timeout(self._reply_timeout_s):
                await self._connection.send_packed_command(packed, check_health=False)
                return await reply
        except TimeoutError:
            await self._connection.disconnect(nowait=True)  # ends the reader, and all other senders
            raise RedisError(f"no reply for {self._reply_timeout_s:g} s") from None
        finally:
            reply.cancel()  # the reader drops a reply that comes later

    async def aclose(self) -> None:
        await cancel_all((self._reader,))

    async def _read(self) -> None:
        """Hand each reply to its sender, until the connection is lost; then fail all who wait."""
        failure: Exception = RedisError("the connection is closed")
        try:
            while True:
                try:
                    answer = await self._connection.read_response()
                except RedisError as error:
                    if not self._connection.is_connected:
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
            for reply in self._replies:
                if not reply.done():
                    reply.set_exception(failure)
            self._replies.clear()
            with contextlib.suppress(RedisError, OSError):
                await self._connection.disconnect(nowait=True)
