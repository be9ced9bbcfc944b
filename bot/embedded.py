"""The embedded server, when REDIS_URL is not set: one Valkey for each data folder, shared by processes.

    <data_dir>/redis/        owner only
        users                every user holds a shared lock on it while it uses the server
        start                held while somebody starts, joins or leaves
        keeper               held by the keeper (bot/embedded_keeper.py) while it lives
        server               held by the server itself while it lives
        socket               where the server listens: a path
        appendonlydir/       the data
        valkey.log

The first user starts the keeper, the keeper holds the server, and both end with the last user, even if
that one is killed. If the keeper is killed, any of its users starts another.
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

from bot.embedded_folder import (
    choose_socket_path,
    end_of,
    folder_errors,
    make_private,
    server_binary,
    turn_log,
)
from bot.errors import StoreError, StoreUnavailable
from bot.file_lock import FileLock

log = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0
"""Loading a large append-only file takes a while: about a second for 500 MB."""
STOP_TIMEOUT_S = 20.0
WATCH_S = 1.0
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TZ")


class EmbeddedServer:
    """A running server, of which this is one user. Made by `start`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._users = FileLock(folder / "users")
        self._socket_path = Path()
        self._watch: asyncio.Task[None] | None = None
        self._left = False

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
        try:
            async with _Started(folder):
                if not await server._users.shared(STOP_TIMEOUT_S):
                    raise StoreUnavailable(f"the server in {folder} does not stop")
                await server._ensure()
        except BaseException:
            server._users.close()
            raise
        server._watch = asyncio.create_task(server._keep_kept(), name="embedded-server-watch")
        return server

    @property
    def url(self) -> str:
        """`unix:///…`, with what is special in a URL escaped."""
        return f"unix://{quote(str(self._socket_path))}"

    @property
    def folder(self) -> Path:
        return self._folder

    async def aclose(self) -> None:
        """Leave. If nobody else uses the server it is stopped, and everything written out, on return."""
        if self._left:
            return
        self._left = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        try:
            async with _Started(self._folder):
                await self._leave()
        finally:
            self._users.close()

    async def _leave(self) -> None:
        self._users.unlock()
        keeper = FileLock(self._folder / "keeper")
        try:
            deadline = _now() + STOP_TIMEOUT_S
            while not keeper.try_shared():
                if self._users.try_exclusive():  # nobody else; the keeper has yet to notice
                    self._users.unlock()
                elif self._users.try_shared():  # others use it
                    return
                if _now() > deadline:
                    log.warning("the embedded server in %s takes long to stop", self._folder)
                    return
                await asyncio.sleep(0.005)
        finally:
            keeper.close()

    async def _ensure(self) -> None:
        """See that a keeper lives and the server answers. The caller holds `start` and `users`."""
        while True:
            with folder_errors(self._folder):
                started = await self._start_keeper()
                self._socket_path = Path(os.fsdecode((self._folder / "socket").read_bytes()))
            if await self._comes_to_answer():
                return
            if started:
                raise StoreError(
                    f"the embedded server did not start: {end_of(self._folder / 'valkey.log')}",
                    cure=f"See {self._folder / 'valkey.log'}. Damaged data can be put aside by renaming "
                    f"{self._folder / 'appendonlydir'}; or set REDIS_URL to a server of your own.",
                )
            # The keeper that we saw has died since, or another user only looked whether one lives.

    async def _start_keeper(self) -> bool:
        """False if one lives already."""
        keeper = FileLock(self._folder / "keeper")
        try:
            if not keeper.try_exclusive():
                return False
            self._socket_path = choose_socket_path(self._folder)
            (self._folder / "socket").write_bytes(os.fsencode(self._socket_path))
            turn_log(self._folder / "valkey.log")
            # A descriptor of the thread's own: it goes on even if we are cancelled meanwhile.
            await asyncio.to_thread(self._spawn_keeper, os.dup(keeper.fd))
            return True
        finally:
            keeper.close()

    def _spawn_keeper(self, lock_fd: int) -> None:
        """Hand the keeper its lock, so that there is no moment in which nobody holds it."""
        command = [
            *(sys.executable, "-I", "-S", "-W", "ignore::DeprecationWarning"),
            str(Path(__file__).with_name("embedded_keeper.py")),
            *(str(lock_fd), str(self._folder), str(server_binary())),
            *("--port", "0", "--unixsocket", str(self._socket_path), "--unixsocketperm", "700"),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
            *("--dir", str(self._folder), "--logfile", str(self._folder / "valkey.log")),
        ]
        try:
            with (self._folder / "valkey.log").open("ab") as log_file:
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
        finally:
            os.close(lock_fd)

    async def _comes_to_answer(self) -> bool:
        """Wait for the server. False if its keeper has gone."""
        deadline = _now() + START_TIMEOUT_S
        keeper = FileLock(self._folder / "keeper")
        try:
            while not await _answers(self._socket_path):
                if keeper.try_shared():
                    return False
                if _now() > deadline:
                    raise StoreUnavailable(
                        f"the embedded server in {self._folder} does not answer",
                        cure=f"See {self._folder / 'valkey.log'}.",
                    )
                await asyncio.sleep(0.005)
            return True
        finally:
            keeper.close()

    async def _keep_kept(self) -> None:
        """Start another keeper if ours was killed (by the kernel's memory killer, say)."""
        keeper = FileLock(self._folder / "keeper")
        pause_s = WATCH_S
        try:
            while True:
                await asyncio.sleep(pause_s)
                if not keeper.try_shared():
                    pause_s = WATCH_S
                    continue
                keeper.unlock()
                log.warning("the keeper of the embedded server is gone; starting another")
                try:
                    async with _Started(self._folder):
                        await self._ensure()
                except StoreError as error:
                    log.error("the embedded server cannot start: %s %s", error, error.cure)
                    pause_s = min(pause_s * 2, 30)
        finally:
            keeper.close()


class _Started:
    """The time in which nobody else starts, joins or leaves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __aenter__(self) -> None:
        with folder_errors(self._folder):
            self._lock = FileLock(self._folder / "start")
        try:
            if not await self._lock.exclusive(START_TIMEOUT_S + STOP_TIMEOUT_S):
                raise StoreUnavailable(f"another process never finishes to start {self._folder}")
        except BaseException:
            self._lock.close()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.close()


async def _answers(socket_path: Path) -> bool:
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_unix_connection(socket_path)
            try:
                writer.write(b"PING\r\n")
                return (await reader.readline()).startswith(b"+PONG")
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError):
        return False


def _now() -> float:
    return asyncio.get_running_loop().time()
