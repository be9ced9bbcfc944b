"""The folders the local model keeps: private, and with what the file system says in our words."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

from bot.errors import LocalModelError, StoreRefused
from bot.local_server.private_dir import make_private

ELSEWHERE = (
    "Or use a model elsewhere: set OPENAI_API_KEY, or OPENAI_BASE_URL for any other endpoint."
)
"""The other way out of whatever keeps the local model from running."""


class model_folder_errors:  # noqa: N801  read like a function
    """Translate what the file system says about `folder` to LocalModelError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(self._folder) from error
        if isinstance(error, OSError):
            raise LocalModelError(
                f"cannot keep the local model in {self._folder}: {error.strerror or error}",
                cure=f"Set BOT_DATA_DIR to a folder that you may write to. {ELSEWHERE}",
            ) from error
        if isinstance(error, StoreRefused):
            raise LocalModelError(error.detail, cure=f"{error.cure} {ELSEWHERE}") from error


def private_folder(folder: Path) -> Path:
    """Make `folder`, for its owner only.

    Raises:
        LocalModelError: it cannot be, or there are no file locks on this platform.
    """
    if sys.platform == "win32":
        raise LocalModelError("the local model runs on Linux and macOS only", cure=ELSEWHERE)
    with model_folder_errors(folder):
        make_private(folder)
    return folder


def no_space(folder: Path, detail: str = "") -> LocalModelError:
    """The error for a full disk."""
    return LocalModelError(
        f"no space left for the local model in {folder}{detail}",
        cure=f"Free disk space, or set BOT_DATA_DIR to a folder on another disk. {ELSEWHERE}",
    )
