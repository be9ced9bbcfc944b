"""Hostile clients of an HTTP port, in a process of their own: connections that never end a request.

    python -m tests.faults.hostile_clients PORT PATH CONNECTIONS OPENED_PER_S

Opens the connections, and each again whenever the server has closed it, within OPENED_PER_S. Prints "open"
once each was opened; on end of input it prints what it counted, as JSON, and ends.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

PIECE = b"x" * 65_536
TRICKLE_S = 2.0
READ_BUFFER = 2048


async def nothing(_: str) -> AsyncIterator[bytes]:
    """Opens the connection and sends nothing."""
    for _ in ():
        yield b""


async def half_header(path: str) -> AsyncIterator[bytes]:
    yield f"POST {path} HTTP/1.1\r\nHost: bot\r\nX-Slack".encode()


async def trickled_header(path: str) -> AsyncIterator[bytes]:
    yield f"POST {path} HTTP/1.1\r\nHost: bot\r\n".encode()
    for number in itertools.count():
        await asyncio.sleep(TRICKLE_S)
        yield f"X-{number}: x\r\n".encode()


async def unsigned_body(path: str) -> AsyncIterator[bytes]:
    yield f"POST {path} HTTP/1.1\r\nHost: bot\r\nContent-Length: 1000000\r\n\r\n".encode()
    for _ in range(15):
        yield PIECE


async def plausible_body(path: str) -> AsyncIterator[bytes]:
    """A body that lacks its end, with headers such as Slack sends and a signature that is well formed."""
    yield (
        f"POST {path} HTTP/1.1\r\nHost: bot\r\nContent-Length: 1000000\r\n"
        f"X-Slack-Request-Timestamp: {int(time.time())}\r\nX-Slack-Signature: v0={'0a' * 32}\r\n\r\n"
    ).encode()
    for _ in range(15):
        yield PIECE


async def endless_chunks(path: str) -> AsyncIterator[bytes]:
    yield (
        f"POST {path} HTTP/1.1\r\nHost: bot\r\nTransfer-Encoding: chunked\r\n"
        f"X-Slack-Request-Timestamp: {int(time.time())}\r\nX-Slack-Signature: v0={'0a' * 32}\r\n\r\n"
    ).encode()
    while True:
        yield b"10000\r\n" + PIECE + b"\r\n"


async def huge_length(path: str) -> AsyncIterator[bytes]:
    yield f"POST {path} HTTP/1.1\r\nHost: bot\r\nContent-Length: 999999999999\r\n\r\n".encode()
    while True:
        yield PIECE


async def no_http(_: str) -> AsyncIterator[bytes]:
    yield b"\x16\x03\x01\x02\x00\x01" + b"\0" * 100


async def pipelined(_: str) -> AsyncIterator[bytes]:
    """Requests without end, whose responses are never read."""
    while True:
        yield b"GET /metrics HTTP/1.1\r\nHost: bot\r\n\r\n"
        await asyncio.sleep(TRICKLE_S)


async def web_socket(_: str) -> AsyncIterator[bytes]:
    yield b"GET / HTTP/1.1\r\nHost: bot\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


Attack = Callable[[str], AsyncIterator[bytes]]
ATTACKS: tuple[Attack, ...] = (
    nothing,
    half_header,
    trickled_header,
    unsigned_body,
    plausible_body,
    endless_chunks,
    huge_length,
    no_http,
    pipelined,
    web_socket,
)


class Pace:
    """Allows `per_s` actions a second."""

    def __init__(self, per_s: float) -> None:
        self._pause_s = 1 / per_s
        self._next_at = time.monotonic()

    async def wait(self) -> None:
        now = time.monotonic()
        self._next_at = max(self._next_at, now) + self._pause_s
        await asyncio.sleep(self._next_at - self._pause_s - now)


async def run_slot(
    attack: Attack, port: int, path: str, pace: Pace, counts: Counter[str], opened: asyncio.Event
) -> None:
    while True:
        await pace.wait()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=READ_BUFFER)
        except OSError:
            counts["refused"] += 1
            continue
        counts["opened"] += 1
        opened.set()
        try:
            async for piece in attack(path):
                writer.write(piece)
                await writer.drain()
            while await reader.read(READ_BUFFER):
                pass
        except OSError:
            pass
        finally:
            counts["closed"] += 1
            writer.transport.abort()


async def main(port: int, path: str, connections: int, per_s: float) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    counts: Counter[str] = Counter()
    pace = Pace(per_s)
    attacks: Iterator[Attack] = itertools.cycle(ATTACKS)
    opened = [asyncio.Event() for _ in range(connections)]
    slots = [
        asyncio.create_task(run_slot(next(attacks), port, path, pace, counts, event))
        for event in opened
    ]
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.gather(*(event.wait() for event in opened))
    print("open", flush=True)
    await ended
    for slot in slots:
        slot.cancel()
    await asyncio.gather(*slots, return_exceptions=True)
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
