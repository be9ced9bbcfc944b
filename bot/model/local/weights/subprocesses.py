"""Subprocesses and threads of downloads, which end before a cancelled download returns."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from bot.logs import redact

T = TypeVar("T")


async def run_subprocess(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit status and last lines of output of a command. Cancelling kills its process group."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
        start_new_session=True,  # Ctrl-C in the terminal reaches only us
    )
    try:
        output, _ = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
        raise
    lines = output.decode(errors="replace").strip().splitlines()
    return process.returncode or 0, redact(" / ".join(line.strip() for line in lines[-3:]))[-600:]


async def run_in_thread(work: Callable[[], T]) -> T:
    """Result of `work()` in a thread. Cancelling waits for its end, so that it never outlives its caller."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def folder_bytes(folder: Path) -> int:
    """Size of all files in and below `folder`, which may appear and vanish meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
