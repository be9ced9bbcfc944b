"""Non-blocking standard input and output, for pipes and files."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, TextIO

_CHUNK_BYTES = 4096
"""Bytes that a writable pipe accepts at once on every system (PIPE_BUF of Linux; others promise 512)."""


class StandardStreams:
    """Standard streams of which input or output is no terminal.

    Attributes:
        write_failure: the error that ended writing, or None.
    """

    def __init__(self, input_fd: int | None, output_fd: int | None, errors: TextIO | None) -> None:
        self._input = input_fd
        self._output = output_fd
        self._errors = errors
        self.write_failure: OSError | None = None

    @classmethod
    def standard(cls) -> StandardStreams:
        """Standard streams of this process; each may be closed."""
        return cls(_descriptor(sys.stdin), _descriptor(sys.stdout), sys.stderr)

    @property
    def is_reader_gone(self) -> bool:
        """Whether the reader closed its end (`| head`)."""
        return self.write_failure is not None and self.write_failure.errno == errno.EPIPE

    async def read_lines(self) -> AsyncGenerator[str]:
        """Lines without their line ends. The last line needs none."""
        rest = b""
        loop = asyncio.get_running_loop()
        while self._input is not None:
            fd = self._input
            await _wait_until_ready(partial(loop.add_reader, fd), partial(loop.remove_reader, fd))
            try:
                data = os.read(fd, 65_536)
            except BlockingIOError:
                continue
            *complete, rest = (rest + data).split(b"\n")
            for line in complete if data else [rest]:
                yield line.decode(errors="replace").removesuffix("\r")
            if not data:
                return

    async def write(self, text: str) -> None:
        """Write `text` as UTF-8. Never raises: a failure is kept in `write_failure`."""
        data = memoryview(text.encode(errors="replace"))
        loop = asyncio.get_running_loop()
        while data and self.write_failure is None:
            fd = self._output
            if fd is None:
                self.write_failure = OSError(errno.EPIPE, os.strerror(errno.EPIPE))
                return
            await _wait_until_ready(partial(loop.add_writer, fd), partial(loop.remove_writer, fd))
            try:
                data = data[os.write(fd, data[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                self.write_failure = error

    def write_error(self, text: str) -> None:
        """Write a line to standard error."""
        if self._errors is not None:
            self._errors.write(f"keepthread: {text}\n")
            self._errors.flush()


def _descriptor(stream: TextIO | None) -> int | None:
    """Descriptor of a stream; None if it is closed, or has none."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


async def _wait_until_ready(
    watch: Callable[[Callable[[], Any]], None], unwatch: Callable[[], object]
) -> None:
    """Wait until a descriptor is ready. A regular file always is, and cannot be watched."""
    ready = asyncio.Event()
    try:
        watch(ready.set)
    except (PermissionError, RuntimeError):  # RuntimeError: Windows' loop watches only sockets
        return
    try:
        await ready.wait()
    finally:
        unwatch()
