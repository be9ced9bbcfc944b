"""Rules of the repository as a whole: layers, dependencies, no leftovers, no secrets."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT, sources, tracked_files


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" not in data:
            yield str(path.relative_to(ROOT)), data.decode("utf-8", "replace")


def test_every_arrow_between_the_packages_is_allowed() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 kept, 0 broken" in done.stdout


def test_nothing_is_left_to_be_done_later() -> None:
    mark = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources("bot", "adapters")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if mark.search(line)
    ]
    assert not found


# Put together, so that this file does not find itself.
KEY_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[A-Za-z0-9_-]{20,}"
    r"|xox[abeprs]-[A-Za-z0-9-]{24,}"
    r"|xapp-[A-Za-z0-9-]{24,}"
    r"|lsv2_[a-z]{2}_[A-Za-z0-9_]{10,}"
    r"|hf_[A-Za-z0-9]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|AKIA[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{30,}"
    r"|[0-9]{8,10}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"
    r"|-----BEGIN [A-Z ]*PRIVATE " + "KEY-----"
    r")|hooks\.slack\.com/services/T[A-Z0-9]{6,}"
)


@pytest.mark.parametrize(
    "token",
    [
        "sk" + "-proj-" + "Ab1_" * 8,
        "xox" + "b-123456789012-abcdefghijkl",
        "lsv2" + "_pt_" + "0a" * 16,
        "123456789" + ":" + "AAH" + "x" * 32,
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "-----BEGIN PRIVATE " + "KEY-----",
    ],
)
def test_the_search_for_secrets_would_find_one(token: str) -> None:
    assert KEY_SHAPES.search(f"key={token}\n")


def test_no_file_holds_anything_that_looks_like_a_key() -> None:
    found = [
        f"{name}: {match[0][:12]}…" for name, text in texts() for match in KEY_SHAPES.finditer(text)
    ]
    assert not found


NOT_HERE = re.compile(
    r"pypi\.org|python" + r"hosted\.org|(?<![\w.])/(?:work|root|tmp/w|tmp/bash_jobs)/"
)
"""Addresses of package indexes and paths of a machine: what is installed comes from wherever people say."""


def test_no_file_names_a_package_index_or_a_path_of_some_machine() -> None:
    found = [(name, match[0]) for name, text in texts() for match in NOT_HERE.finditer(text)]
    assert not found


LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-bench.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_installed_is_pinned_by_hash(lock: str) -> None:
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(lines) > 30
    for line in lines:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line
    assert not re.search(r"https?://|index-url|find-links|file:", text)


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "requirements.lock": [*project["dependencies"], *extras["slack"], *extras["telegram"]],
        "requirements-dev.lock": [*project["dependencies"], *extras["dev"]],
    }
    for lock, requirements in wanted.items():
        text = (ROOT / lock).read_text()
        pinned = {line.partition("==")[0] for line in text.splitlines() if "==" in line}
        names = {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in requirements}  # type: ignore[index]
        assert names <= pinned, f"{lock} lacks {names - pinned}: run `make lock`"
