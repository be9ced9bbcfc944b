"""Folders and logs that only their owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bot.errors import StoreRefused

MAX_LOG_BYTES = 1_000_000


def make_private(folder: Path) -> None:
    """Create `folder`, or take the permissions of others from it.

    Raises:
        StoreRefused: it belongs to another user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StoreRefused(
            f"{folder} belongs to somebody else",
            cure="Set BOT_DATA_DIR to a folder of your own.",
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)


def rotate_log(path: Path) -> None:
    """Move a log that has grown too long to `.log.1`, in place of the one before."""
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))


def last_lines(path: Path) -> str:
    """The last three lines of a log, on one line; `""` if it does not exist."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return " / ".join(lines[-3:])
