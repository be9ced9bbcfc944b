"""`make flaky`: the tests again and again while busy loops occupy all cores, and which of them failed how often.

python -m tests.flaky [--runs 5] [PYTEST ARGUMENT …]

Exit status 1 if any test failed in any run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

BUSY_LOOP = """
import os
parent = os.getppid()
while os.getppid() == parent:  # it ends with us, even if we are killed
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def busy_cores() -> Iterator[None]:
    """A busy loop for each core."""
    loops = [
        subprocess.Popen([sys.executable, "-S", "-c", BUSY_LOOP])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def failures(report: Path) -> list[str]:
    """The tests that failed or broke, by a JUnit report of pytest's."""
    return [
        f"{case.get('classname')}::{case.get('name')}"
        for case in ElementTree.parse(report).iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]


def run_once(arguments: list[str], report: Path) -> list[str]:
    """Failures of one run. A run that ends without a report counts as one."""
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
    status = subprocess.run(command, check=False).returncode
    found = failures(report) if report.exists() else []
    return found if found or status == 0 else [f"(pytest ended with status {status})"]


def main(runs: int, arguments: list[str]) -> int:
    failed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="kt-flaky-") as folder, busy_cores():
        for run in range(1, runs + 1):
            began_at = time.monotonic()
            found = run_once(arguments, Path(folder) / f"{run}.xml")
            failed.update(found)
            took_s = time.monotonic() - began_at
            print(f"run {run} of {runs}: {len(found)} failed, {took_s:.0f} s", flush=True)
    for name, times in failed.most_common():
        print(f"{times:>3} of {runs}  {name}")
    print(f"Failed at least once: {len(failed)}." if failed else "No test ever failed.")
    return int(bool(failed))


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.flaky")
    options.add_argument("--runs", type=int, default=5)
    given, rest = options.parse_known_args()
    sys.exit(main(given.runs, rest))
