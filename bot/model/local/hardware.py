"""What the local model asks of the machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path

from bot.errors import LocalModelError
from bot.model.local.files import ELSEWHERE

NEEDED_FLAGS = ("avx2", "fma", "f16c")
"""What the wheels of xllamacpp are compiled for on x86-64; without them the process dies of SIGILL."""
CONTEXT_BYTES = 1_000_000_000
"""What running takes beside the weights themselves: measured at most 0.9 GB for the default model."""


def check_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """See that the runtime is installed and that the processor can run it.

    Raises:
        LocalModelError: naming both ways out.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise LocalModelError(
            "no model is set, and the runtime for a local one is not installed",
            cure=f"Run pip install 'keepthread[local]' for a small model on this machine. {ELSEWHERE}",
        )
    missing = missing_flags(cpuinfo)
    if missing:
        raise LocalModelError(
            f"this processor cannot run the local model: it has no {', '.join(missing).upper()}",
            cure=f"Use a machine with AVX2 (any x86-64 processor since about 2015). {ELSEWHERE}",
        )


def missing_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """What the processor lacks, as far as this platform says (Linux on x86-64)."""
    if sys.platform != "linux" or platform.machine().lower() not in ("x86_64", "amd64"):
        return []
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in NEEDED_FLAGS if flag not in flags] if flags else []


def free_memory_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Memory that can be had without swapping; None where this platform does not say."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def thread_count() -> int:
    """One less than the cores we may use: with all of them the runtime's threads spin against each other."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores - 1)
