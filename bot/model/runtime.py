"""The local model's server: one for each data folder and model file, shared by processes.

    <data_dir>/models/run-<hash of the file's path>/      owner only
        users       every user holds a shared lock on it while it uses the server
        start       held while somebody starts, joins or leaves
        keeper      held by the server (bot/model/runtime_server.py) while it lives
        address     where it answers, and to which key
        log         what it says

The first user starts the server, and it ends with the last one, even if that one is killed. If the server is
killed, whoever asks it next starts another.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import structlog

from bot.embedded_folder import end_of, turn_log
from bot.errors import LocalModelError
from bot.file_lock import FileLock
from bot.model import weights
from bot.model.folder import ELSEWHERE, model_folder_errors, private_folder
from bot.model.machine import check_machine, free_memory_bytes, thread_count
from bot.settings import Settings

log = structlog.get_logger("keepthread.model")

ANSWERS_AT_ONCE = 4
CONTEXT_TOKENS = ANSWERS_AT_ONCE * 6_144
"""Shared by all answers. If they need more together, all of them fail: bot/wiring.py and bot/model/build.py
keep one conversation with its answer below 6,144."""
LOAD_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 20.0
_KEPT_ENVIRONMENT = (
    *("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"),
    *("TMPDIR", "TZ", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES"),
)
Progress = Callable[[str, int, int], None]


class LocalRuntime:
    """A running server, of which this is one user. Made by `start`."""

    def __init__(self, model: Path, folder: Path, progress: Progress | None) -> None:
        self._model = model
        self._folder = folder
        self._progress = progress
        self._users = FileLock(folder / "users")
        self._left = False
        self.base_url = ""
        self.api_key = ""

    @classmethod
    async def start(cls, settings: Settings, progress: Progress | None = None) -> Self:
        """Join the server of this data folder and model file, or start it; fetch the weights if need be.

        Raises:
            LocalModelError: it cannot run here; the cure says what to do.
        """
        check_machine()
        model = (await weights.ensure(settings, progress)).resolve()
        mark = hashlib.sha256(os.fsencode(model)).hexdigest()[:16]
        models = private_folder(settings.bot_data_dir / "models")
        folder = private_folder(models / f"run-{mark}")
        with model_folder_errors(folder):
            runtime = cls(model, folder, progress)
        try:
            async with _Started(folder):
                if not await runtime._users.shared(STOP_TIMEOUT_S):
                    raise LocalModelError(f"the local model of {folder} does not stop")
                await runtime._ensure()
        except BaseException:
            runtime._users.close()
            raise
        return runtime

    async def ready(self) -> tuple[str, str]:
        """Address and key, after starting another server if the one there was has died.

        Raises:
            LocalModelError: it does not start again.
        """
        if not self._is_alive():
            async with _Started(self._folder):
                await self._ensure()
        return self.base_url, self.api_key

    @property
    def folder(self) -> Path:
        return self._folder

    async def aclose(self) -> None:
        """Leave. If nobody else uses the server it is stopped on return."""
        if self._left:
            return
        self._left = True
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
                if self._users.try_exclusive():  # nobody else; the server has yet to notice
                    self._users.unlock()
                elif self._users.try_shared():  # others use it
                    return
                if _now() > deadline:
                    log.warning("the local model takes long to stop", folder=str(self._folder))
                    return
                await asyncio.sleep(0.005)
        finally:
            keeper.close()

    def _is_alive(self) -> bool:
        """Whether the server we know lives: another one has another key."""
        keeper = FileLock(self._folder / "keeper")
        try:
            return not keeper.try_shared() and self._read_address() == (self.base_url, self.api_key)
        finally:
            keeper.close()

    async def _ensure(self) -> None:
        """See that a server lives and has loaded. The caller holds `start` and `users`."""
        while True:
            with model_folder_errors(self._folder):
                started = await self._start_server()
            if await self._comes_to_answer():
                return
            if started:
                raise self._cannot_load()
            # The server that we saw has died since, or another user only looked whether one lives.

    async def _start_server(self) -> bool:
        """False if one lives already."""
        keeper = FileLock(self._folder / "keeper")
        try:
            if not keeper.try_exclusive():
                return False
            (self._folder / "address").unlink(missing_ok=True)
            turn_log(self._folder / "log")
            log.info("local model loading", file=str(self._model))
            # A descriptor of the thread's own: it goes on even if we are cancelled meanwhile.
            await asyncio.to_thread(self._spawn, os.dup(keeper.fd))
            return True
        finally:
            keeper.close()

    def _spawn(self, lock_fd: int) -> None:
        """Hand the server its lock, so that there is no moment in which nobody holds it."""
        command = [
            *(sys.executable, "-P", "-W", "ignore::DeprecationWarning"),
            str(Path(__file__).with_name("runtime_server.py")),
            *(str(lock_fd), str(self._folder), str(self._model)),
            *(str(thread_count()), str(ANSWERS_AT_ONCE), str(CONTEXT_TOKENS)),
        ]
        environment = {k: v for k, v in os.environ.items() if k in _KEPT_ENVIRONMENT}
        try:
            with (self._folder / "log").open("ab") as log_file:
                subprocess.run(  # noqa: S603  our own interpreter and file
                    command,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log_file,
                    stderr=log_file,
                    cwd=self._folder,
                    pass_fds=(lock_fd,),
                    start_new_session=True,  # Ctrl-C in our terminal is not for it
                    # Threads that wait for work must not spin: they take it from those that have some.
                    env={**environment, "OMP_WAIT_POLICY": "PASSIVE"},
                )
        except subprocess.CalledProcessError as error:
            raise self._cannot_load() from error
        finally:
            os.close(lock_fd)

    async def _comes_to_answer(self) -> bool:
        """Wait until it has loaded. False if the server has gone."""
        deadline = _now() + LOAD_TIMEOUT_S
        keeper = FileLock(self._folder / "keeper")
        try:
            while (address := self._read_address()) is None:
                if keeper.try_shared():
                    return False
                if _now() > deadline:
                    raise LocalModelError(
                        f"the local model has not loaded within {LOAD_TIMEOUT_S:g} s",
                        cure=f"See {self._folder / 'log'}. {ELSEWHERE}",
                    )
                self._tell(0)
                await asyncio.sleep(0.02)
            self._tell(1)
            self.base_url, self.api_key = address
            return not keeper.try_shared()
        finally:
            keeper.close()

    def _read_address(self) -> tuple[str, str] | None:
        try:
            said = json.loads((self._folder / "address").read_bytes())
        except FileNotFoundError:
            return None
        return str(said["base_url"]), str(said["key"])

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress("Loading the model", done, done)

    def _cannot_load(self) -> LocalModelError:
        free, size = free_memory_bytes(), self._model.stat().st_size
        memory = f"; {free / 1e9:.1f} GB of memory are free" if free is not None else ""
        said = end_of(self._folder / "log") or "it was killed, or the processor cannot run it"
        return LocalModelError(
            f"the local model did not load ({size / 1e9:.1f} GB{memory}): {said}",
            cure=f"It needs its size and about 1 GB more in memory. See {self._folder / 'log'}. {ELSEWHERE}",
        )


class _Started:
    """The time in which nobody else starts, joins or leaves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __aenter__(self) -> None:
        with model_folder_errors(self._folder):
            self._lock = FileLock(self._folder / "start")
        try:
            if not await self._lock.exclusive(LOAD_TIMEOUT_S + STOP_TIMEOUT_S):
                raise LocalModelError(f"another process never finishes to start {self._folder}")
        except BaseException:
            self._lock.close()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
