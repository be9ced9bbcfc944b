"""Advisory file locks (flock), shared or exclusive; the kernel releases them when their process ends.

Not the package filelock (looked at: 4.3): its flock is exclusive only, its shared locks are SQLite
transactions or lease files, and it hands no lock to a child process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_POLL_S = 0.01


class FileLock:
    """Open file, unlocked, locked shared or exclusively. Two of them are independent, even in one process."""

    __slots__ = ("_fd",)

    def __init__(self, path: Path) -> None:
        """Open `path`; a new file is for its owner only. Raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @property
    def fd(self) -> int:
        """The file descriptor: a child process that inherits it holds the lock too."""
        return self._fd

    def try_shared(self) -> bool:
        """Lock it shared; False while another holds it exclusively."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Lock it exclusively; False while another holds it. A failed try may lose a shared lock."""
        return self._try(fcntl.LOCK_EX)

    async def exclusive(self, timeout_s: float) -> bool:
        """Wait for the exclusive lock. False after `timeout_s`."""
        return await self._wait(fcntl.LOCK_EX, timeout_s)

    async def shared(self, timeout_s: float) -> bool:
        """Wait for the shared lock. False after `timeout_s`."""
        return await self._wait(fcntl.LOCK_SH, timeout_s)

    def unlock(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which releases the lock unless a child process holds it too. Idempotent."""
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
        # flock has no timeout, and a thread blocked in it cannot be cancelled.
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self._try(mode):
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True
