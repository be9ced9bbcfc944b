"""Hardware requirements of the local model: processor features, memory, threads."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path

from bot.errors import LocalModelError
from bot.model.local.files import OTHER_MODEL_CURE

REQUIRED_CPU_FLAGS = ("avx2", "fma", "f16c")
"""Processor features that the x86-64 wheels of xllamacpp are compiled for; without them: SIGILL."""
CONTEXT_BYTES = 1_000_000_000
"""Memory needed beside the weights: at most 0.9 GB was measured for the default model."""


def check_hardware(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Check that the runtime is installed and that the processor can run it.

    Raises:
        LocalModelError: with the cure, and the way to use another model.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise LocalModelError(
            "no model is set, and the runtime for a local one is not installed",
            cure=f"Run pip install 'keepthread[local]' for a small model on this machine. {OTHER_MODEL_CURE}",
        )
    missing = missing_cpu_flags(cpuinfo)
    if missing:
        raise LocalModelError(
            f"this processor cannot run the local model: it has no {', '.join(missing).upper()}",
            cure=f"Use a machine with AVX2 (any x86-64 processor since about 2015). {OTHER_MODEL_CURE}",
        )


def missing_cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Required features that the processor lacks; known on Linux on x86-64 only."""
    if sys.platform != "linux" or platform.machine().lower() not in ("x86_64", "amd64"):
        return []
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in REQUIRED_CPU_FLAGS if flag not in flags] if flags else []


def free_memory_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Memory available without swapping; None where the platform does not report it."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def thread_count() -> int:
    """Threads of the runtime: one less than the usable cores, because on all of them its threads compete."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores - 1)
