"""Server shared by the processes of one machine, one for each folder: the embedded Redis, the local model.

    users       every user holds a shared lock on it while it uses the server
    start       locked exclusively while a user starts, joins or leaves
    keeper      locked by the supervisor while it lives: the process that is the server, or watches over it

The first user starts the supervisor, and it ends with the last user, even if that one is killed: the
kernel releases the locks of a process that ends.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import ClassVar

import structlog

from bot.errors import KeepthreadError
from bot.local_server.file_lock import FileLock
from bot.local_server.private_dir import rotate_log

log = structlog.get_logger("keepthread.shared_server")

STOP_TIMEOUT_S = 20.0
_POLL_S = 0.005


class SharedServer(ABC):
    """One user's share in a running server."""

    name: ClassVar[str]
    """Name of the server in errors."""
    start_timeout_s: ClassVar[float]
    log_name: ClassVar[str]
    """File in the folder for the output of the supervisor."""
    passed_environment: ClassVar[tuple[str, ...]]
    """Environment variables that the supervisor gets; secrets of its users are not among them."""
    own_environment: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._folder_errors():
            self._users = FileLock(folder / "users")
        self._has_left = False

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def log_path(self) -> Path:
        return self._folder / self.log_name

    async def aclose(self) -> None:
        """Leave. The last user's call returns after the server stopped, with everything written out."""
        if self._has_left:
            return
        self._has_left = True
        try:
            async with self._start_lock():
                await self._leave()
        finally:
            self._users.close()

    async def _join(self) -> None:
        """Become a user of the server that runs, or of one that is started."""
        try:
            async with self._start_lock():
                if not await self._users.shared(STOP_TIMEOUT_S):
                    raise self._timeout_error(f"{self.name} of {self._folder} does not stop")
                await self._start_unless_ready()
        except BaseException:
            self._users.close()
            raise

    async def _ensure_running(self) -> None:
        """Start the supervisor again if it died."""
        async with self._start_lock():
            await self._start_unless_ready()

    async def _start_unless_ready(self) -> None:
        """Return once a supervisor lives and the server is ready. The caller is a user and holds the start lock."""
        while True:
            with self._folder_errors():
                started = await self._start_supervisor()
                ready = await self._wait_until_ready()
            if ready:
                return
            if started:
                raise self._start_error()
            # The supervisor that was found has died since, or another user only looked whether one lives.

    def _is_supervised(self) -> bool:
        with self._folder_errors(), closing(self._supervisor_lock()) as lock:
            return not lock.try_shared()

    @asynccontextmanager
    async def _start_lock(self) -> AsyncIterator[None]:
        """The time in which no other user starts, joins or leaves."""
        with self._folder_errors():
            lock = FileLock(self._folder / "start")
        with closing(lock):
            if not await lock.exclusive(self.start_timeout_s + STOP_TIMEOUT_S):
                raise self._timeout_error(f"another process never finishes to start {self._folder}")
            yield

    async def _start_supervisor(self) -> bool:
        """False if one lives already."""
        with closing(self._supervisor_lock()) as lock:
            if not lock.try_exclusive():
                return False
            # A descriptor of the thread's own: the thread goes on even if this task is cancelled.
            await asyncio.to_thread(self._spawn_with, os.dup(lock.fd))
            return True

    def _spawn_with(self, lock_fd: int) -> None:
        """Hand the supervisor its lock, so that it is held by one process or the other at every moment."""
        try:
            self._spawn(lock_fd)
        finally:
            os.close(lock_fd)

    def _spawn(self, lock_fd: int) -> None:
        """Run the command of the supervisor, which inherits `lock_fd` and forks."""
        command = self._supervisor_command(lock_fd)
        passed = {k: v for k, v in os.environ.items() if k in self.passed_environment}
        rotate_log(self.log_path)
        try:
            with self.log_path.open("ab") as log_file:
                subprocess.run(  # noqa: S603  our own interpreter and file
                    command,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log_file,
                    stderr=log_file,
                    cwd=self._folder,
                    pass_fds=(lock_fd,),
                    start_new_session=True,  # out of reach of Ctrl-C in our terminal
                    env={**passed, **self.own_environment},
                )
        except subprocess.CalledProcessError as error:
            raise self._start_error() from error

    async def _wait_until_ready(self) -> bool:
        """Wait for the server. False if its supervisor has ended."""
        deadline = _now() + self.start_timeout_s
        with closing(self._supervisor_lock()) as lock:
            while True:
                is_ready = await self._is_ready()
                if lock.try_shared():
                    return False
                if is_ready:
                    return True
                if _now() > deadline:
                    late = f"does not answer within {self.start_timeout_s:g} s"
                    raise self._timeout_error(f"{self.name} of {self._folder} {late}")
                await asyncio.sleep(_POLL_S)

    async def _leave(self) -> None:
        """Stop being a user; wait for the supervisor to end unless others use the server."""
        self._users.unlock()
        deadline = _now() + STOP_TIMEOUT_S
        with closing(self._supervisor_lock()) as lock:
            while not lock.try_shared():
                if self._users.try_exclusive():  # no user left; the supervisor has yet to notice
                    self._users.unlock()
                elif self._users.try_shared():  # others use it
                    return
                if _now() > deadline:
                    log.warning("shared server not stopped in time", folder=str(self._folder))
                    return
                await asyncio.sleep(_POLL_S)

    def _supervisor_lock(self) -> FileLock:
        return FileLock(self._folder / "keeper")

    @abstractmethod
    def _supervisor_command(self, lock_fd: int) -> list[str]:
        """The command of the supervisor, after the files it needs were prepared. Runs in a thread."""

    @abstractmethod
    async def _is_ready(self) -> bool:
        """Whether the server answers; keeps its address."""

    @abstractmethod
    def _folder_errors(self) -> AbstractContextManager[None]:
        """Translation of file-system errors."""

    @abstractmethod
    def _timeout_error(self, detail: str) -> KeepthreadError:
        """The error for a start or stop that takes too long."""

    @abstractmethod
    def _start_error(self) -> KeepthreadError:
        """The error for a server that ended at once; its log says why."""


def _now() -> float:
    return asyncio.get_running_loop().time()
