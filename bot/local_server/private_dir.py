"""Folders and logs that only their owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bot.errors import StoreRefused

LARGEST_LOG_BYTES = 1_000_000


def make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StoreRefused(
            f"{folder} belongs to somebody else",
            cure="Set BOT_DATA_DIR to a folder of your own.",
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)


def turn_log(path: Path) -> None:
    if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))


def end_of(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return " / ".join(line for line in lines[-3:])
