"""Files of the repository."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    """Files that git tracks; in a source distribution, which has no `.git`, all of them."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [
            path
            for path in ROOT.rglob("*")
            if not any(
                part.startswith(".") or part == "__pycache__"
                for part in path.relative_to(ROOT).parts
            )
        ]
    return tuple(path for path in found if path.is_file())


def sources(*folders: str, suffix: str = ".py") -> list[Path]:
    """Tracked files of these top-level folders, with this suffix (any if it is empty)."""
    return [
        path
        for path in tracked_files()
        if path.name.endswith(suffix) and path.relative_to(ROOT).parts[0] in folders
    ]
