"""A server that processes share, one for each folder: the embedded Redis, the local model.

    users       every user holds a shared lock on it while it uses the server
    start       held while somebody starts, joins or leaves
    keeper      held by the process that serves, or keeps the server, while it lives

The first user starts it, and it ends with the last one, even if that one is killed: the kernel takes
locks from the dead.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import ClassVar

import structlog

from bot.errors import KeepthreadError
from bot.local_server.file_lock import FileLock

log = structlog.get_logger("keepthread.shared_server")

STOP_TIMEOUT_S = 20.0
_LOOK_AGAIN_S = 0.005


class SharedServer(ABC):
    """A running server, of which this is one user."""

    name: ClassVar[str]
    """What it is, for people."""
    start_timeout_s: ClassVar[float]

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._folder_errors():
            self._users = FileLock(folder / "users")
        self._left = False

    @property
    def folder(self) -> Path:
        return self._folder

    async def aclose(self) -> None:
        """Leave. If nobody else uses the server it is stopped, and everything written out, on return."""
        if self._left:
            return
        self._left = True
        try:
            async with self._alone():
                await self._leave()
        finally:
            self._users.close()

    async def _join(self) -> None:
        """Be a user, of the server that is there or of one that is started."""
        try:
            async with self._alone():
                if not await self._users.shared(STOP_TIMEOUT_S):
                    raise self._trouble(f"{self.name} of {self._folder} does not stop")
                await self._ensure()
        except BaseException:
            self._users.close()
            raise

    async def _ensure(self) -> None:
        """See that a keeper lives and the server answers. The caller is `_alone` and a user."""
        while True:
            with self._folder_errors():
                started = await self._start_keeper()
                answers = await self._comes_to_answer()
            if answers:
                return
            if started:
                raise self._did_not_start()
            # The keeper that we saw has died since, or another user only looked whether one lives.

    def _is_kept(self) -> bool:
        with self._folder_errors(), closing(self._keeper()) as keeper:
            return not keeper.try_shared()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """The time in which nobody else starts, joins or leaves."""
        with self._folder_errors():
            lock = FileLock(self._folder / "start")
        with closing(lock):
            if not await lock.exclusive(self.start_timeout_s + STOP_TIMEOUT_S):
                raise self._trouble(f"another process never finishes to start {self._folder}")
            yield

    async def _start_keeper(self) -> bool:
        """False if one lives already."""
        with closing(self._keeper()) as keeper:
            if not keeper.try_exclusive():
                return False
            # A descriptor of the thread's own: it goes on even if we are cancelled meanwhile.
            await asyncio.to_thread(self._spawn_with, os.dup(keeper.fd))
            return True

    def _spawn_with(self, lock_fd: int) -> None:
        """Hand the keeper its lock, so that there is no moment in which nobody holds it."""
        try:
            self._spawn(lock_fd)
        finally:
            os.close(lock_fd)

    async def _comes_to_answer(self) -> bool:
        """Wait for the server. False if its keeper has gone."""
        deadline = _now() + self.start_timeout_s
        with closing(self._keeper()) as keeper:
            while True:
                answers = await self._answers()
                if keeper.try_shared():
                    return False
                if answers:
                    return True
                if _now() > deadline:
                    late = f"does not answer within {self.start_timeout_s:g} s"
                    raise self._trouble(f"{self.name} of {self._folder} {late}")
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _leave(self) -> None:
        self._users.unlock()
        deadline = _now() + STOP_TIMEOUT_S
        with closing(self._keeper()) as keeper:
            while not keeper.try_shared():
                if self._users.try_exclusive():  # nobody else; the keeper has yet to notice
                    self._users.unlock()
                elif self._users.try_shared():  # others use it
                    return
                if _now() > deadline:
                    log.warning("a server takes long to stop", folder=str(self._folder))
                    return
                await asyncio.sleep(_LOOK_AGAIN_S)

    def _keeper(self) -> FileLock:
        return FileLock(self._folder / "keeper")

    @abstractmethod
    def _spawn(self, lock_fd: int) -> None:
        """Start a process that inherits `lock_fd`, and return. Runs in a thread."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether the server answers; notes where."""

    @abstractmethod
    def _folder_errors(self) -> AbstractContextManager[None]:
        """Translates what the file system says."""

    @abstractmethod
    def _trouble(self, detail: str) -> KeepthreadError:
        """The error for what takes too long."""

    @abstractmethod
    def _did_not_start(self) -> KeepthreadError:
        """The error for a server that ended at once; its log says why."""


def _now() -> float:
    return asyncio.get_running_loop().time()
