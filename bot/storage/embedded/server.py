"""Embedded Redis server, used when REDIS_URL is not set: one Valkey for each data folder, shared by processes.

    <data_dir>/redis/        owner only
        users start keeper   locks (bot/local_server/shared_server.py)
        server               lock that the server itself holds while it lives
        socket               path of the socket on which the server listens
        appendonlydir/       the data
        valkey.log

The supervisor (bot/storage/embedded/supervisor.py) starts the server, and both end with the last user. If the
supervisor is killed, any of the users starts another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from bot.errors import StoreError, StoreUnavailable
from bot.local_server.private_dir import last_lines, make_private
from bot.local_server.shared_server import SharedServer
from bot.storage.embedded.paths import choose_socket_path, folder_errors, server_binary

log = logging.getLogger(__name__)

MAX_WATCH_INTERVAL_S = 30.0
"""Between two tries to start a supervisor that does not start."""


class EmbeddedServer(SharedServer):
    """One user's share in the embedded server. Created by `start`."""

    name = "the embedded server"
    start_timeout_s = 120.0
    """Loading a large append-only file takes a while: about a second for 500 MB."""
    log_name = "valkey.log"
    passed_environment = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TZ")
    watch_interval_s = 1.0
    """Time between two checks that the supervisor lives."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._socket_path = Path()
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, data_dir: Path) -> Self:
        """Join the server of `data_dir`, or start it.

        Raises:
            SettingsError: there is no bundled server for this platform.
            StoreError: it cannot run there; the cure says what to do.
        """
        server_binary()
        folder = (data_dir / "redis").resolve()
        with folder_errors(folder):
            make_private(folder)
        server = cls(folder)
        await server._join()
        server._watch = asyncio.create_task(
            server._watch_supervisor(), name="embedded-server-watch"
        )
        return server

    @property
    def url(self) -> str:
        """`unix:///…`, percent-encoded."""
        return f"unix://{quote(str(self._socket_path))}"

    async def aclose(self) -> None:
        """Leave. The last user's call returns after the server stopped, with everything written out."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await super().aclose()

    def _supervisor_command(self, lock_fd: int) -> list[str]:
        socket_path = choose_socket_path(self._folder)
        (self._folder / "socket").write_bytes(os.fsencode(socket_path))
        return [
            *(sys.executable, "-I", "-S", "-W", "ignore::DeprecationWarning"),
            str(Path(__file__).with_name("supervisor.py")),
            *(str(lock_fd), str(self._folder), str(server_binary())),
            *("--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700"),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
            *("--dir", str(self._folder), "--logfile", str(self.log_path)),
        ]

    async def _is_ready(self) -> bool:
        self._socket_path = Path(os.fsdecode((self._folder / "socket").read_bytes()))
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_unix_connection(self._socket_path)
                try:
                    writer.write(b"PING\r\n")
                    return (await reader.readline()).startswith(b"+PONG")
                finally:
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError):
            return False

    def _folder_errors(self) -> AbstractContextManager[None]:
        return folder_errors(self._folder)

    def _timeout_error(self, detail: str) -> StoreError:
        return StoreUnavailable(detail, cure=f"See {self.log_path}.")

    def _start_error(self) -> StoreError:
        return StoreError(
            f"the embedded server did not start: {last_lines(self.log_path)}",
            cure=f"See {self.log_path}. Damaged data can be put aside by renaming "
            f"{self._folder / 'appendonlydir'}; or set REDIS_URL to a server of your own.",
        )

    async def _watch_supervisor(self) -> None:
        """Start another supervisor if this one was killed (by the kernel's out-of-memory killer, say)."""
        pause_s = self.watch_interval_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                if self._is_supervised():
                    pause_s = self.watch_interval_s
                    continue
                log.warning("supervisor of the embedded server killed; starting another")
                await self._ensure_running()
            except StoreError as error:
                log.error("embedded server not started: %s %s", error, error.cure)
                pause_s = min(pause_s * 2, MAX_WATCH_INTERVAL_S)
