"""Reading lines and writing text without ever keeping the event loop waiting, whatever the ends are."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, TextIO

_CHUNK = 4096
"""Bytes. What a writable pipe takes at once on every system (PIPE_BUF of Linux; others promise 512)."""


class Pipes:
    """Standard input and output where one of them is no terminal.

    Attributes:
        broken: why nothing can be written any more, or None.
    """

    def __init__(self, source: int | None, target: int | None, complaints: TextIO | None) -> None:
        self._source = source
        self._target = target
        self._complaints = complaints
        self.broken: OSError | None = None

    @classmethod
    def standard(cls) -> Pipes:
        """Those of this process; each may be closed."""
        return cls(_descriptor(sys.stdin), _descriptor(sys.stdout), sys.stderr)

    @property
    def is_reader_gone(self) -> bool:
        """Whether whoever read has seen enough (`| head`)."""
        return self.broken is not None and self.broken.errno == errno.EPIPE

    async def lines(self) -> AsyncGenerator[str]:
        """Line after line, without their ends. The last one needs none."""
        rest = b""
        loop = asyncio.get_running_loop()
        while self._source is not None:
            fd = self._source
            await _until(partial(loop.add_reader, fd), partial(loop.remove_reader, fd))
            try:
                data = os.read(fd, 65_536)
            except BlockingIOError:
                continue
            *whole, rest = (rest + data).split(b"\n")
            for line in whole if data else [rest]:
                yield line.decode(errors="replace").removesuffix("\r")
            if not data:
                return

    async def write(self, text: str) -> None:
        """Write `text` as UTF-8. Never raises: `broken` says if it could not be."""
        data = memoryview(text.encode(errors="replace"))
        loop = asyncio.get_running_loop()
        while data and self.broken is None:
            fd = self._target
            if fd is None:
                self.broken = OSError(errno.EPIPE, os.strerror(errno.EPIPE))
                return
            await _until(partial(loop.add_writer, fd), partial(loop.remove_writer, fd))
            try:
                data = data[os.write(fd, data[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                self.broken = error

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        if self._complaints is not None:
            self._complaints.write(f"keepthread: {text}\n")
            self._complaints.flush()


def _descriptor(stream: TextIO | None) -> int | None:
    """None if it is closed, or something of Python's that only looks like a file."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


async def _until(watch: Callable[[Callable[[], Any]], None], unwatch: Callable[[], object]) -> None:
    """Until a descriptor is ready. Regular files always are, and cannot be watched."""
    ready = asyncio.Event()
    try:
        watch(ready.set)
    except (PermissionError, RuntimeError):  # RuntimeError: Windows' loop watches only sockets
        return
    try:
        await ready.wait()
    finally:
        unwatch()
