"""Runtime of the local model: one server for each data folder and model file, shared by processes.

    <data_dir>/models/run-<hash of the file's path>/      owner only
        users start keeper   locks (bot/local_server/shared_server.py)
        address              base URL and key of the server
        log                  its output

The server (bot/model/local/server.py) is its own keeper. If it is killed, the next user starts another.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import structlog

from bot.errors import LocalModelError
from bot.local_server.private_dir import end_of, turn_log
from bot.local_server.shared_server import SharedServer
from bot.model.local.files import OTHER_MODEL_CURE, make_private_folder, translate_folder_errors
from bot.model.local.hardware import check_hardware, free_memory_bytes, thread_count
from bot.model.local.weights import store
from bot.model.local.weights.spec import ProgressCallback
from bot.settings import Settings

log = structlog.get_logger("keepthread.model")

PARALLEL_ANSWERS = 4
CONTEXT_TOKENS = PARALLEL_ANSWERS * 6_144
"""Context shared by all parallel answers, which fail together beyond it. bot/wiring.py and bot/model/local/lazy.py
keep one conversation with its answer below 6,144 tokens."""
_PASSED_ENVIRONMENT = (
    *("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"),
    *("TMPDIR", "TZ", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES"),
)


class LocalRuntime(SharedServer):
    """Running server, of which this process is one user. Created by `start`."""

    name = "the local model"
    start_timeout_s = 300.0

    def __init__(self, model: Path, folder: Path, progress: ProgressCallback | None) -> None:
        super().__init__(folder)
        self._model = model
        self._progress = progress
        self.base_url = ""
        self.api_key = ""

    @classmethod
    async def start(cls, settings: Settings, progress: ProgressCallback | None = None) -> Self:
        """Join the server of this data folder and model file, or start it; download missing weights.

        Raises:
            LocalModelError: it cannot run here.
        """
        check_hardware()
        model = (await store.ensure(settings, progress)).resolve()
        path_hash = hashlib.sha256(os.fsencode(model)).hexdigest()[:16]
        models = make_private_folder(settings.bot_data_dir / "models")
        runtime = cls(model, make_private_folder(models / f"run-{path_hash}"), progress)
        await runtime._join()
        return runtime

    async def ensure_running(self) -> tuple[str, str]:
        """Base URL and key, after the server was restarted if it had died.

        Raises:
            LocalModelError: it does not start again.
        """
        # A restarted server has another key.
        if not self._is_kept() or self._read_address() != (self.base_url, self.api_key):
            async with self._alone():
                await self._ensure()
        return self.base_url, self.api_key

    def _spawn(self, lock_fd: int) -> None:
        (self._folder / "address").unlink(missing_ok=True)
        turn_log(self._folder / "log")
        log.info("local model starting", file=str(self._model))
        command = [
            *(sys.executable, "-P", "-W", "ignore::DeprecationWarning"),
            str(Path(__file__).with_name("server.py")),
            *(str(lock_fd), str(self._folder), str(self._model)),
            *(str(thread_count()), str(PARALLEL_ANSWERS), str(CONTEXT_TOKENS)),
        ]
        environment = {k: v for k, v in os.environ.items() if k in _PASSED_ENVIRONMENT}
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
                    start_new_session=True,  # out of reach of Ctrl-C in our terminal
                    # Waiting threads must not spin: they take the cores from the working ones.
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
            address = json.loads((self._folder / "address").read_bytes())
        except FileNotFoundError:
            return None
        return str(address["base_url"]), str(address["key"])

    def _folder_errors(self) -> AbstractContextManager[None]:
        return translate_folder_errors(self._folder)

    def _trouble(self, detail: str) -> LocalModelError:
        return LocalModelError(detail, cure=f"See {self._folder / 'log'}. {OTHER_MODEL_CURE}")

    def _did_not_start(self) -> LocalModelError:
        free, size = free_memory_bytes(), self._model.stat().st_size
        memory = f"; {free / 1e9:.1f} GB of memory are free" if free is not None else ""
        reason = end_of(self._folder / "log") or "it was killed, or the processor cannot run it"
        return LocalModelError(
            f"the local model did not load ({size / 1e9:.1f} GB{memory}): {reason}",
            cure=f"It needs its size and about 1 GB more in memory. See {self._folder / 'log'}. {OTHER_MODEL_CURE}",
        )
