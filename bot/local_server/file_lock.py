"""Advisory locks on files (flock). The kernel lets go of them when the process dies, however it dies."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_POLL_S = 0.01


class FileLock:
    """One open file, unlocked, shared or exclusive. Two of them never share a lock, even in one process."""

    __slots__ = ("_fd",)

    def __init__(self, path: Path) -> None:
        """Open `path`, made readable for its owner only. Raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @property
    def fd(self) -> int:
        """The file descriptor: a child process that inherits it holds the lock too."""
        return self._fd

    def try_shared(self) -> bool:
        """Take or keep it together with others; False if somebody has it alone."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take or keep it alone; False if anybody else has it. A shared lock may be lost by asking."""
        return self._try(fcntl.LOCK_EX)

    async def exclusive(self, timeout_s: float) -> bool:
        """Wait to have it alone. False after `timeout_s`."""
        return await self._wait(fcntl.LOCK_EX, timeout_s)

    async def shared(self, timeout_s: float) -> bool:
        """Wait to have it together with others. False after `timeout_s`."""
        return await self._wait(fcntl.LOCK_SH, timeout_s)

    def unlock(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, and with it let go of the lock unless a child holds it. Safe to repeat."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _try(self, mode: int) -> bool:
        try:
            fcntl.flock(self._fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def _wait(self, mode: int, timeout_s: float) -> bool:
        # flock knows no timeout, and a thread blocked in it could not be cancelled.
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self._try(mode):
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True
