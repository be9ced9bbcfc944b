"""Private folders of the local model, and the translation of file-system errors in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import LocalModelError, StoreRefused
from bot.local_server.os_errors import translate_os_errors
from bot.local_server.private_dir import make_private

OTHER_MODEL_CURE = (
    "Or use a model elsewhere: set OPENAI_API_KEY, or OPENAI_BASE_URL for any other endpoint."
)
"""Second cure of every LocalModelError."""


@contextmanager
def translate_folder_errors(folder: Path) -> Iterator[None]:
    """Translates file-system errors within `folder` to LocalModelError."""

    def refused(error: OSError) -> LocalModelError:
        return LocalModelError(
            f"cannot keep the local model in {folder}: {error.strerror or error}",
            cure=f"Set BOT_DATA_DIR to a folder that you may write to. {OTHER_MODEL_CURE}",
        )

    try:
        with translate_os_errors(disk_full=lambda: no_space_error(folder), refused=refused):
            yield
    except StoreRefused as error:
        raise LocalModelError(error.detail, cure=f"{error.cure} {OTHER_MODEL_CURE}") from error


def make_private_folder(folder: Path) -> Path:
    """Create `folder`, for its owner only.

    Raises:
        LocalModelError: it cannot be created, or there are no file locks on this platform.
    """
    if sys.platform == "win32":
        raise LocalModelError("the local model runs on Linux and macOS only", cure=OTHER_MODEL_CURE)
    with translate_folder_errors(folder):
        make_private(folder)
    return folder


def no_space_error(folder: Path, detail: str = "") -> LocalModelError:
    """The error for a full disk."""
    return LocalModelError(
        f"no space left for the local model in {folder}{detail}",
        cure=f"Free disk space, or set BOT_DATA_DIR to a folder on another disk. {OTHER_MODEL_CURE}",
    )
