"""The local model's server: one for each data folder and model file, shared by processes.

    <data_dir>/models/run-<hash of the file's path>/      owner only
        users start keeper   locks (bot/local_server/shared_server.py)
        address              where it answers, and to which key
        log                  what it says

The server (bot/model/local/server.py) is its own keeper. If it is killed, whoever asks it next starts another.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import structlog

from bot.errors import LocalModelError
from bot.local_server.private_dir import end_of, turn_log
from bot.local_server.shared_server import SharedServer
from bot.model.local.files import ELSEWHERE, model_folder_errors, private_folder
from bot.model.local.hardware import check_machine, free_memory_bytes, thread_count
from bot.model.local.weights import store
from bot.settings import Settings

log = structlog.get_logger("keepthread.model")

ANSWERS_AT_ONCE = 4
CONTEXT_TOKENS = ANSWERS_AT_ONCE * 6_144
"""Shared by all answers. If they need more together, all of them fail: bot/wiring.py and bot/model/factory.py
keep one conversation with its answer below 6,144."""
_KEPT_ENVIRONMENT = (
    *("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"),
    *("TMPDIR", "TZ", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES"),
)
Progress = Callable[[str, int, int], None]


class LocalRuntime(SharedServer):
    """A running server, of which this is one user. Made by `start`."""

    name = "the local model"
    start_timeout_s = 300.0

    def __init__(self, model: Path, folder: Path, progress: Progress | None) -> None:
        super().__init__(folder)
        self._model = model
        self._progress = progress
        self.base_url = ""
        self.api_key = ""

    @classmethod
    async def start(cls, settings: Settings, progress: Progress | None = None) -> Self:
        """Join the server of this data folder and model file, or start it; fetch the weights if need be.

        Raises:
            LocalModelError: it cannot run here; the cure says what to do.
        """
        check_machine()
        model = (await store.ensure(settings, progress)).resolve()
        mark = hashlib.sha256(os.fsencode(model)).hexdigest()[:16]
        models = private_folder(settings.bot_data_dir / "models")
        runtime = cls(model, private_folder(models / f"run-{mark}"), progress)
        await runtime._join()
        return runtime

    async def ready(self) -> tuple[str, str]:
        """Address and key, after starting another server if the one there was has died.

        Raises:
            LocalModelError: it does not start again.
        """
        # Another server has another key.
        if not self._is_kept() or self._read_address() != (self.base_url, self.api_key):
            async with self._alone():
                await self._ensure()
        return self.base_url, self.api_key

    def _spawn(self, lock_fd: int) -> None:
        (self._folder / "address").unlink(missing_ok=True)
        turn_log(self._folder / "log")
        log.info("local model loading", file=str(self._model))
        command = [
            *(sys.executable, "-P", "-W", "ignore::DeprecationWarning"),
            str(Path(__file__).with_name("server.py")),
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
            raise self._did_not_start() from error

    async def _answers(self) -> bool:
        address = self._read_address()
        if self._progress is not None:
            loaded = int(address is not None)
            self._progress("Loading the model", loaded, loaded)
        if address is None:
            return False
        self.base_url, self.api_key = address
        return True

    def _read_address(self) -> tuple[str, str] | None:
        try:
            said = json.loads((self._folder / "address").read_bytes())
        except FileNotFoundError:
            return None
        return str(said["base_url"]), str(said["key"])

    def _folder_errors(self) -> model_folder_errors:
        return model_folder_errors(self._folder)

    def _trouble(self, detail: str) -> LocalModelError:
        return LocalModelError(detail, cure=f"See {self._folder / 'log'}. {ELSEWHERE}")

    def _did_not_start(self) -> LocalModelError:
        free, size = free_memory_bytes(), self._model.stat().st_size
        memory = f"; {free / 1e9:.1f} GB of memory are free" if free is not None else ""
        said = end_of(self._folder / "log") or "it was killed, or the processor cannot run it"
        return LocalModelError(
            f"the local model did not load ({size / 1e9:.1f} GB{memory}): {said}",
            cure=f"It needs its size and about 1 GB more in memory. See {self._folder / 'log'}. {ELSEWHERE}",
        )
