"""A way to a Redis server that can go dead: what is open carries nothing any more, and nobody is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Line:
    """`port` is where to call. Attributes: opened counts calls."""

    port: int = 0
    opened: int = 0
    _age: int = 0

    def go_dead(self) -> None:
        """As when the machine at the other end lost its power. Who calls anew gets through."""
        self._age += 1

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        age = self._age
        while data := await reader.read(65_536):
            if age == self._age:
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def line_to(socket_path: str) -> AsyncIterator[Line]:
    """A line to the server that listens at `socket_path`."""
    line, tasks = Line(), set[asyncio.Task[None]]()

    async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        line.opened += 1
        there, back = await asyncio.open_unix_connection(socket_path)
        ways = [asyncio.create_task(line.carry(reader, back))]
        ways.append(asyncio.create_task(line.carry(there, writer)))
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, back):
                end.close()

    server = await asyncio.start_server(call, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
