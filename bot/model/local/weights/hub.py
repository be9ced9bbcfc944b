"""Source of weights: the model hub, through the optional package huggingface_hub (the extra `hub`).

That package knows the address, mirrors (HF_ENDPOINT), keys and proxies. It runs in a subprocess, because
its download can neither be cancelled nor observed otherwise.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from bot.model.local.weights.spec import SourceFailed, Weights
from bot.model.local.weights.subprocesses import folder_bytes, run_subprocess

DOWNLOAD_SCRIPT = """
import sys
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
repository, file, folder = sys.argv[1:]
try:
    get_hf_file_metadata(hf_hub_url(repository, file), timeout=5)  # tries once; the download tries for half a minute
    hf_hub_download(repo_id=repository, filename=file, local_dir=folder)
except Exception as error:
    while error.__cause__ is not None:
        error = error.__cause__
    sys.exit(f"{type(error).__name__}: {error}".splitlines()[0])
"""
ENVIRONMENT = {
    "HF_HUB_ETAG_TIMEOUT": "5",
    "HF_HUB_DOWNLOAD_TIMEOUT": "15",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # its chunks cannot be resumed after a kill
}
STALLED_S = 30.0
"""The download fails after this long without a new byte."""
_POLL_S = 0.2


def is_available() -> bool:
    """Whether the optional package is installed."""
    return importlib.util.find_spec("huggingface_hub") is not None


class ModelHub:
    """Source that downloads one file from the model hub."""

    name: ClassVar[str] = "model hub"

    def __init__(self, *, stalled_s: float = STALLED_S) -> None:
        self._stalled_s = stalled_s

    async def fetch(self, weights: Weights, partial: Path, on_bytes: Callable[[int], None]) -> Path:
        folder = partial / "hub"
        command = [
            sys.executable,
            "-P",
            "-c",
            DOWNLOAD_SCRIPT,
            weights.hub_repository,
            weights.file_name,
        ]
        download = asyncio.create_task(run_subprocess([*command, str(folder)], ENVIRONMENT))
        try:
            if not await self._wait_while_growing(download, folder, on_bytes):
                raise SourceFailed(f"not a byte within {self._stalled_s:g} s")
            status, output = download.result()
        finally:
            download.cancel()
            await asyncio.gather(download, return_exceptions=True)
        whole = folder / weights.file_name
        if status or not whole.is_file():
            raise SourceFailed(
                output.rpartition(" / ")[2] or f"the download ended with status {status}"
            )
        return whole

    def discard(self, partial: Path) -> None:
        shutil.rmtree(partial / "hub", ignore_errors=True)

    async def _wait_while_growing(
        self, download: asyncio.Task[tuple[int, str]], folder: Path, on_bytes: Callable[[int], None]
    ) -> bool:
        """Wait for the end of the download. False if it stalls."""
        now = asyncio.get_running_loop().time
        size_bytes, grown_at = -1, now()
        while not download.done():
            present = folder_bytes(folder)
            if present > size_bytes:
                size_bytes, grown_at = present, now()
                on_bytes(present)
            if now() - grown_at > self._stalled_s:
                return False
            await asyncio.wait([download], timeout=_POLL_S)
        return True
