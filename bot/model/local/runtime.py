"""Runtime of the local model: one server for each data folder and model file, shared by processes.

    <data_dir>/models/run-<hash of the file's path>/      owner only
        users start keeper   locks (bot/local_server/shared_server.py)
        address              base URL and key of the server
        log                  its output

The server (bot/model/local/server.py) is its own supervisor. If it is killed, the next user starts another.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Self

import structlog

from bot.errors import LocalModelError
from bot.local_server.private_dir import last_lines
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


class LocalRuntime(SharedServer):
    """Running server, of which this process is one user. Created by `start`."""

    name = "the local model"
    start_timeout_s = 300.0
    log_name = "log"
    passed_environment = (
        *("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"),
        *("TMPDIR", "TZ", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES"),
    )
    # Waiting threads must not spin: they take the cores from the working ones.
    own_environment: ClassVar[Mapping[str, str]] = {"OMP_WAIT_POLICY": "PASSIVE"}

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
        if not self._is_supervised() or self._read_address() != (self.base_url, self.api_key):
            await self._ensure_running()
        return self.base_url, self.api_key

    def _supervisor_command(self, lock_fd: int) -> list[str]:
        (self._folder / "address").unlink(missing_ok=True)
        log.info("local model starting", file=str(self._model))
        return [
            *(sys.executable, "-P", "-W", "ignore::DeprecationWarning"),
            str(Path(__file__).with_name("server.py")),
            *(str(lock_fd), str(self._folder), str(self._model)),
            *(str(thread_count()), str(PARALLEL_ANSWERS), str(CONTEXT_TOKENS)),
        ]

    async def _is_ready(self) -> bool:
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

    def _timeout_error(self, detail: str) -> LocalModelError:
        return LocalModelError(detail, cure=f"See {self.log_path}. {OTHER_MODEL_CURE}")

    def _start_error(self) -> LocalModelError:
        free, size = free_memory_bytes(), self._model.stat().st_size
        memory = f"; {free / 1e9:.1f} GB of memory are free" if free is not None else ""
        reason = last_lines(self.log_path) or "it was killed, or the processor cannot run it"
        return LocalModelError(
            f"the local model did not load ({size / 1e9:.1f} GB{memory}): {reason}",
            cure=f"It needs its size and about 1 GB more in memory. See {self.log_path}. {OTHER_MODEL_CURE}",
        )
