"""A TCP proxy before a Redis server whose open connections can be stalled: they stay open and carry nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class StallableProxy:
    """The proxy that `stallable_proxy` opens.

    Attributes:
        port: where it listens.
        connections: how many were accepted so far.
    """

    port: int = 0
    connections: int = 0
    _stalls: int = 0

    def stall(self) -> None:
        """Stall all open connections, as if the peer had lost its power. New ones work."""
        self._stalls += 1

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stalls = self._stalls
        while data := await reader.read(65_536):
            if stalls == self._stalls:
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def stallable_proxy(socket_path: str) -> AsyncIterator[StallableProxy]:
    """Open a proxy to the server that listens at `socket_path`."""
    proxy, tasks = StallableProxy(), set[asyncio.Task[None]]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        proxy.connections += 1
        from_server, to_server = await asyncio.open_unix_connection(socket_path)
        directions = [
            asyncio.create_task(proxy.forward(reader, to_server)),
            asyncio.create_task(proxy.forward(from_server, writer)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            for end in (writer, to_server):
                end.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
