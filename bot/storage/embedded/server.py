"""The embedded server, when REDIS_URL is not set: one Valkey for each data folder, shared by processes.

    <data_dir>/redis/        owner only
        users start keeper   locks (bot/local_server/shared_server.py)
        server               held by the server itself while it lives
        socket               where the server listens: a path
        appendonlydir/       the data
        valkey.log

The keeper (bot/storage/embedded/supervisor.py) holds the server, and both end with the last user. If the keeper is
killed, any of its users starts another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import quote

from bot.errors import StoreError, StoreUnavailable
from bot.local_server.private_dir import end_of, make_private, turn_log
from bot.local_server.shared_server import SharedServer
from bot.storage.embedded.paths import choose_socket_path, folder_errors, server_binary

log = logging.getLogger(__name__)

_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TZ")


class EmbeddedServer(SharedServer):
    """A running server, of which this is one user. Made by `start`."""

    name = "the embedded server"
    start_timeout_s = 120.0
    """Loading a large append-only file takes a while: about a second for 500 MB."""
    watch_s = 1.0
    """Seconds between two looks whether the keeper lives."""

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
        server._watch = asyncio.create_task(server._keep_kept(), name="embedded-server-watch")
        return server

    @property
    def url(self) -> str:
        """`unix:///…`, with what is special in a URL escaped."""
        return f"unix://{quote(str(self._socket_path))}"

    async def aclose(self) -> None:
        """Leave. If nobody else uses the server it is stopped, and everything written out, on return."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await super().aclose()

    def _spawn(self, lock_fd: int) -> None:
        log_path, socket_path = self._folder / "valkey.log", choose_socket_path(self._folder)
        (self._folder / "socket").write_bytes(os.fsencode(socket_path))
        turn_log(log_path)
        command = [
            *(sys.executable, "-I", "-S", "-W", "ignore::DeprecationWarning"),
            str(Path(__file__).with_name("supervisor.py")),
            *(str(lock_fd), str(self._folder), str(server_binary())),
            *("--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700"),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
            *("--dir", str(self._folder), "--logfile", str(log_path)),
        ]
        with log_path.open("ab") as log_file:
            subprocess.run(  # noqa: S603  our own interpreter and file
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                cwd=self._folder,
                pass_fds=(lock_fd,),
                start_new_session=True,  # Ctrl-C in our terminal is not for it
                env={k: v for k, v in os.environ.items() if k in _KEPT_ENVIRONMENT},
            )

    async def _answers(self) -> bool:
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

    def _folder_errors(self) -> folder_errors:
        return folder_errors(self._folder)

    def _trouble(self, detail: str) -> StoreError:
        return StoreUnavailable(detail, cure=f"See {self._folder / 'valkey.log'}.")

    def _did_not_start(self) -> StoreError:
        return StoreError(
            f"the embedded server did not start: {end_of(self._folder / 'valkey.log')}",
            cure=f"See {self._folder / 'valkey.log'}. Damaged data can be put aside by renaming "
            f"{self._folder / 'appendonlydir'}; or set REDIS_URL to a server of your own.",
        )

    async def _keep_kept(self) -> None:
        """Start another keeper if ours was killed (by the kernel's memory killer, say)."""
        pause_s = self.watch_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                if self._is_kept():
                    pause_s = self.watch_s
                    continue
                log.warning("the keeper of the embedded server is gone; starting another")
                async with self._alone():
                    await self._ensure()
            except StoreError as error:
                log.error("the embedded server cannot start: %s %s", error, error.cure)
                pause_s = min(pause_s * 2, 30)
