"""Name that moves from one server to another, as DNS, a Kubernetes service or a proxy moves it: a TCP proxy on loopback.

Connections that were made before the name moved live on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class MovingName:
    """The proxy; `port` is the name's, `target` the port that new connections reach."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(to_server)
            await asyncio.gather(_forward(reader, to_server), _forward(from_server, writer))
            await _close(to_server)
            self._writers.discard(to_server)
        except OSError:
            pass  # nobody listens there
        finally:
            await _close(writer)
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def aclose(self) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _close(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def moving_name(target: int) -> AsyncIterator[MovingName]:
    """Run the proxy, at first before the server at port `target`."""
    name = MovingName(target)
    server = await asyncio.start_server(name.accept, "127.0.0.1", 0)
    name.port = server.sockets[0].getsockname()[1]
    try:
        yield name
    finally:
        server.close()
        await name.aclose()
