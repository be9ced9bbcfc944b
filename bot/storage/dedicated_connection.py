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

from bot.background import cancel_all

log = structlog.get_logger("keepthread.courier")

REPLY_S = 5.0


class DedicatedConnection:
    """Sends commands of one Redis server; replies come in the order of the commands.

    Args:
        client: a standalone client without read time-out; its pool makes the connection.
        reply_s: a connection on which a reply takes longer is given up.
    """

    def __init__(self, client: Redis, *, reply_s: float = REPLY_S) -> None:
        self._client = client
        self._reply_s = reply_s
        self._line: _Line | None = None
        self._opening = asyncio.Lock()

    async def be_ready(self) -> None:
        """Open the connection unless it is open. A failure shows when something is sent."""
        if self._is_open():
            return
        async with self._opening:
            if self._is_open():
                return
            pool: Any = self._client.connection_pool
            connection = pool.make_connection()
            try:
                await connection.connect()
            except (RedisError, OSError) as error:
                log.info("no connection of its own", error=repr(error))
                return
            self._line = _Line(connection, self._reply_s)

    async def send(self, *words: Any) -> Any:
        """The reply to a command that left before anything was awaited.

        Raises:
            RedisError: also where no reply comes for `reply_s`: a line that went dead says nothing.
        """
        if self._line is None or not self._is_open():
            raise RedisError("the courier is not ready")
        return await self._line.send(words)

    async def aclose(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.aclose()

    def _is_open(self) -> bool:
        return self._line is not None and self._line.is_open


class _Line:
    """One open connection, and who waits for a reply on it."""

    def __init__(self, connection: Connection, reply_s: float) -> None:
        self._connection = connection
        self._reply_s = reply_s
        self._replies: deque[asyncio.Future[Any]] = deque()
        self._reader = asyncio.create_task(self._read(), name="courier")

    @property
    def is_open(self) -> bool:
        return self._connection.is_connected and not self._reader.done()

    async def send(self, words: tuple[Any, ...]) -> Any:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        packed = self._connection.pack_command(*words)
        try:
            async with asyncio.timeout(self._reply_s):
                await self._connection.send_packed_command(packed, check_health=False)
                return await reply
        except TimeoutError:
            await self._connection.disconnect(nowait=True)  # ends the reader, and all who wait
            raise RedisError(f"no reply for {self._reply_s:g} s") from None
        finally:
            reply.cancel()  # one that still comes is nobody's

    async def aclose(self) -> None:
        await cancel_all((self._reader,))

    async def _read(self) -> None:
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
