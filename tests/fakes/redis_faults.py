"""Redis that refuses or drops chosen commands: a proxy on loopback that speaks RESP (redis.io/docs/latest/develop/reference/protocol-spec).

A fault of a command also meets the scripts that call it: Redis refuses a script as a whole where it refuses its writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bot.storage.scripts import Script
from tests.support.repository import ROOT


@dataclass
class RedisFault:
    """Fault of the next `times` commands of a name.

    Attributes:
        error: reply in place of Redis'; `""` closes the connection instead.
        is_late: the command is run, and only its reply is lost.
    """

    command: str
    error: str
    times: int = 1
    is_late: bool = False


class FaultyRedis:
    """The proxy before the server at port `target`; `port` is its own."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.faults: list[RedisFault] = []
        self.met = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, to_server}
        try:
            await self._relay(reader, writer, from_server, to_server)
        except (OSError, EOFError):
            pass
        finally:
            for end in (writer, to_server):
                self._writers.discard(end)
                with contextlib.suppress(OSError):
                    end.close()
                    await end.wait_closed()
            self._tasks.discard(task)

    async def aclose(self) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks)

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        """One command after the other, each with its reply; a subscription goes both ways at once."""
        while True:
            raw, words = await _read_command(reader)
            fault = self._next_fault(words)
            if fault is None or fault.is_late:
                to_server.write(raw)
                if words[0].upper() == b"SUBSCRIBE":
                    await asyncio.gather(_copy(reader, to_server), _copy(from_server, writer))
                    return
                reply = await _read_reply(from_server)
            if fault is not None:
                if not fault.error:
                    return
                reply = f"-{fault.error}\r\n".encode()
            writer.write(reply)
            await writer.drain()

    def _next_fault(self, words: list[bytes]) -> RedisFault | None:
        names = {words[0].upper().decode()}
        if names & {"EVAL", "EVALSHA"}:
            names |= _commands_of_scripts().get(words[1].decode(errors="replace"), frozenset())
        for fault in self.faults:
            if fault.times > 0 and fault.command in names:
                fault.times -= 1
                self.met += 1
                return fault
        return None


@cache
def _commands_of_scripts() -> dict[str, frozenset[str]]:
    """Commands that each script calls, by its digest and by its text."""
    found = {}
    for path in Path(ROOT).glob("bot/*/lua/*.lua"):
        script = Script(f"bot.{path.parent.parent.name}", path.stem)
        calls = re.findall(r"call\(\s*'([A-Z]+)'", script.text)
        found[script.digest] = found[script.text] = frozenset(calls)
    return found


async def _read_command(reader: asyncio.StreamReader) -> tuple[bytes, list[bytes]]:
    """A command as it was sent, and its words."""
    raw = await reader.readuntil(b"\r\n")
    words = []
    for _ in range(int(raw[1:])):
        head = await reader.readuntil(b"\r\n")
        data = await reader.readexactly(int(head[1:]) + 2)
        raw += head + data
        words.append(data[:-2])
    return raw, words


async def _read_reply(reader: asyncio.StreamReader) -> bytes:
    """A whole reply, of RESP2 or RESP3."""
    line = await reader.readuntil(b"\r\n")
    kind = line[:1]
    if kind in b"+-:_,#(":
        return line
    size = int(line[1:])
    if kind in b"$=!":
        return line if size < 0 else line + await reader.readexactly(size + 2)
    count = size * 2 if kind in b"%|" else size
    return line + b"".join([await _read_reply(reader) for _ in range(count)])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def faulty_redis(target: int) -> AsyncIterator[FaultyRedis]:
    """Run the proxy before the server at port `target`."""
    proxy = FaultyRedis(target)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.aclose()
