"""Checks of the local model for `keepthread doctor`, which neither download nor start anything."""

from __future__ import annotations

import asyncio
import importlib.metadata

from bot.errors import LocalModelError
from bot.model.local.files import OTHER_MODEL_CURE
from bot.model.local.hardware import CONTEXT_BYTES, check_hardware, free_memory_bytes
from bot.model.local.weights import store
from bot.model.local.weights.spec import DEFAULT
from bot.ports import Check
from bot.settings import Settings


async def check(settings: Settings) -> list[Check]:
    """Runtime and processor, weights, memory."""
    try:
        check_hardware()
    except LocalModelError as error:
        runtime = Check("local model runtime", "failed", str(error), error.cure)
    else:
        version = importlib.metadata.version("xllamacpp")
        runtime = Check("local model runtime", "ok", f"xllamacpp {version}")
    file, size_bytes = await asyncio.to_thread(_check_file, settings)
    return [runtime, file, _check_memory(size_bytes)]


def _check_file(settings: Settings) -> tuple[Check, int]:
    """The check of the model file, and the file's size."""
    name, default = "local model file", DEFAULT
    if settings.bot_local_model is not None:
        try:
            path = store.check_gguf(settings.bot_local_model)
        except LocalModelError as error:
            return Check(name, "failed", str(error), error.cure), 0
        return Check(name, "ok", str(path)), path.stat().st_size
    path = store.weights_path(settings)
    if store.is_installed(settings):
        return Check(name, "ok", str(path)), default.size_bytes
    size = f"{default.size_bytes / 1e6:,.0f} MB"
    if path.exists():
        detail = f"{path} is damaged"
    elif partial := store.partial_bytes(settings):
        detail = f"{partial / 1e6:,.0f} MB of {size} are fetched"
    else:
        detail = f"not fetched yet ({size})"
    cure = f"The first message fetches it; `keepthread model fetch` does so now. {OTHER_MODEL_CURE}"
    return Check(name, "warning", detail, cure), default.size_bytes


def _check_memory(size_bytes: int) -> Check:
    name, free = "memory for the local model", free_memory_bytes()
    if free is None:
        return Check(name, "off", "this platform does not say how much is free")
    detail = f"{free / 1e9:.1f} GB free, about {(size_bytes + CONTEXT_BYTES) / 1e9:.1f} GB needed"
    if free >= size_bytes + CONTEXT_BYTES:
        return Check(name, "ok", detail)
    cure = f"End other programs, or set BOT_LOCAL_MODEL to a smaller GGUF file. {OTHER_MODEL_CURE}"
    return Check(name, "warning", detail, cure)
