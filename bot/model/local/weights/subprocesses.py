"""Downloaders that run as processes of their own, so that they can be stopped at any moment."""

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


async def run_child(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Its exit status and the end of what it said. If we are cancelled it is killed, and gone on return."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
        start_new_session=True,  # Ctrl-C in our terminal reaches it through us only
    )
    try:
        said, _ = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
        raise
    lines = said.decode(errors="replace").strip().splitlines()
    return process.returncode or 0, redact(" / ".join(line.strip() for line in lines[-3:]))[-600:]


async def in_thread(work: Callable[[], T]) -> T:
    """`work()` in a thread. If we are cancelled it is still waited for, so that it outlives nothing."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def bytes_in(folder: Path) -> int:
    """How much the files in and below `folder` hold, while they may come and go."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total
