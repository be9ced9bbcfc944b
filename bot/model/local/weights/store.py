"""The weights of the local model: fetched once, checked, kept.

    <data_dir>/models/                owner only
        <file name>                   the weights
        <file name>.checked           size, time and SHA-256 as they were when its hash was computed
        fetching                      held by whoever fetches
        partial-<hash>/               what was fetched so far (bot/model/local/weights/hub.py, package_index.py)

Nothing but a file of the right size and SHA-256 is ever used, whichever source it came from.
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
from bot.model.local.files import ELSEWHERE, model_folder_errors, no_space, private_folder
from bot.model.local.weights import hub, package_index
from bot.model.local.weights.spec import DEFAULT, Source, SourceFailed, Weights
from bot.model.local.weights.subprocesses import in_thread
from bot.settings import Settings

log = structlog.get_logger("keepthread.model")

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how many bytes of how many are. `0, 0`: unknown; `1, 1` alone: a remark."""

SPARE_BYTES = 100_000_000
"""Left free on the disk."""
_BLOCK_BYTES = 1 << 24
_WAIT_S = 0.2


async def ensure(
    settings: Settings, progress: Progress | None = None, weights: Weights = DEFAULT
) -> Path:
    """The GGUF file to run: BOT_LOCAL_MODEL, or the default weights, fetched if they are not there yet.

    Raises:
        LocalModelError: BOT_LOCAL_MODEL is no GGUF file, or the weights cannot be fetched.
    """
    if settings.bot_local_model is not None:
        return await asyncio.to_thread(check_gguf, settings.bot_local_model)
    if await in_thread(lambda: installed(settings, weights)):
        return path_of(settings, weights)
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


def path_of(settings: Settings, weights: Weights = DEFAULT) -> Path:
    """Where the weights are, or will be."""
    return settings.bot_data_dir / "models" / weights.file_name


def partial_of(settings: Settings, weights: Weights = DEFAULT) -> Path:
    """The folder of what was fetched so far."""
    return settings.bot_data_dir / "models" / f"partial-{weights.sha256[:12]}"


def installed(settings: Settings, weights: Weights = DEFAULT) -> bool:
    """Whether the weights are there and match. Blocks for seconds if the file changed since it was checked."""
    path = path_of(settings, weights)
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_size != weights.size_bytes:
        return False
    now = _stamp(path, weights.sha256)
    with suppress(OSError, ValueError):
        if json.loads(_stamp_path(path).read_text()) == now:
            return True
    if sha256_of(path) != weights.sha256:
        return False
    with suppress(OSError):  # a folder that may only be read: checked again next time
        _stamp_path(path).write_text(json.dumps(now))
    return True


async def fetch(
    settings: Settings, progress: Progress | None = None, weights: Weights = DEFAULT
) -> Path:
    """Fetch the weights from the first source that has them. Goes on where an earlier fetch stopped.

    If another process is at it, waits for that one.

    Raises:
        LocalModelError: no source has them, they are damaged, or the disk is full.
    """
    tell = progress or _silent
    folder = private_folder(settings.bot_data_dir / "models")
    with model_folder_errors(folder):
        lock = FileLock(folder / "fetching")
    try:
        if not lock.try_exclusive():
            tell("Another process is fetching the model; waiting for it", 1, 1)
            while not lock.try_exclusive():  # noqa: ASYNC110  nothing tells of another process's lock
                await asyncio.sleep(_WAIT_S)
        if not await in_thread(lambda: installed(settings, weights)):
            with model_folder_errors(folder):
                await _fetch(settings, tell, weights)
    finally:
        lock.close()
    return path_of(settings, weights)


async def _fetch(settings: Settings, tell: Progress, weights: Weights) -> None:
    partial = partial_of(settings, weights)
    _check_space(partial, weights)
    partial.mkdir(mode=0o700, exist_ok=True)
    what = "Fetching the model, once"
    log.info("local model being fetched", size_bytes=weights.size_bytes, to=str(partial.parent))
    failures = []
    for source in _sources(weights):
        try:
            whole = await source.fetch(
                weights, partial, lambda done: _part(tell, what, done, weights)
            )
        except SourceFailed as failure:
            log.warning("no model from this source", source=source.NAME, error=failure.detail)
            failures.append(f"{source.NAME}: {failure.detail}")
            tell(f"No model from the {failures[-1]}", 1, 1)
            continue
        if await _matches(whole, weights, tell):
            tell(what, weights.size_bytes, weights.size_bytes)
            _put_in_place(whole, path_of(settings, weights), weights)
            shutil.rmtree(partial)
            return
        await asyncio.to_thread(source.discard, partial)
        failures.append(f"{source.NAME}: what it gave has another size or SHA-256; thrown away")
        tell(f"No model from the {failures[-1]}", 1, 1)
    raise LocalModelError(
        "cannot fetch the local model. " + ". ".join(failures or ["no source is installed"]),
        cure="Check the network and pip's configuration, then run `keepthread model fetch` again: it goes "
        f"on where it stopped. Or set BOT_LOCAL_MODEL to a GGUF file. {ELSEWHERE}",
    )


def _sources(weights: Weights) -> list[Source]:
    sources: list[Source] = []
    if weights.hub_repository and hub.is_there():
        sources.append(hub.Hub())
    if weights.pieces:
        sources.append(package_index.Index())
    return sources


def remove(settings: Settings, weights: Weights = DEFAULT) -> int:
    """Delete the weights and what is left of fetches. How many bytes that freed.

    Raises:
        LocalModelError: they are being fetched.
    """
    folder = settings.bot_data_dir / "models"
    if not folder.is_dir():
        return 0
    with model_folder_errors(folder):
        lock = FileLock(private_folder(folder) / "fetching")
        try:
            if not lock.try_exclusive():
                raise LocalModelError("the model is being fetched", cure="Stop that first.")
            path, partial = path_of(settings, weights), partial_of(settings, weights)
            freed = path.stat().st_size if path.exists() else 0
            freed += partial_bytes(settings, weights)
            path.unlink(missing_ok=True)
            _stamp_path(path).unlink(missing_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
        finally:
            lock.close()
    return freed


def partial_bytes(settings: Settings, weights: Weights = DEFAULT) -> int:
    """Bytes on the disk of a fetch that is not finished."""
    return _on_disk(partial_of(settings, weights))


def sha256_of(path: Path, told: Callable[[int], None] | None = None) -> str:
    """The hash of a file, in hexadecimal. Blocks: a second or two for a gigabyte."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if told is not None:
                told(done)
    return digest.hexdigest()


async def _matches(whole: Path, weights: Weights, tell: Progress) -> bool:
    loop = asyncio.get_running_loop()

    def told(done: int) -> None:
        loop.call_soon_threadsafe(tell, "Checking the model", done, weights.size_bytes)

    def work() -> bool:
        return (
            whole.stat().st_size == weights.size_bytes and sha256_of(whole, told) == weights.sha256
        )

    return await in_thread(work)


def _put_in_place(whole: Path, path: Path, weights: Weights) -> None:
    whole.chmod(0o600)
    os.replace(whole, path)
    _stamp_path(path).write_text(json.dumps(_stamp(path, weights.sha256)))


def _check_space(partial: Path, weights: Weights) -> None:
    missing = weights.size_bytes - min(_on_disk(partial), weights.size_bytes)
    needed = missing + package_index.work_bytes(weights) + SPARE_BYTES
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise no_space(
            partial.parent, f": {needed / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free"
        )


def _on_disk(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
    return total


def _stamp_path(path: Path) -> Path:
    return path.with_name(path.name + ".checked")


def _stamp(path: Path, sha256: str) -> dict[str, object]:
    found = path.stat()
    return {"sha256": sha256, "size_bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def _part(tell: Progress, what: str, done: int, weights: Weights) -> None:
    tell(what, min(done, weights.size_bytes), weights.size_bytes)


def _silent(what: str, done: int, total: int) -> None: ...
