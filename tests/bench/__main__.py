"""Bench: prints one table for each part, and whether its promises were kept.

    python -m tests.bench [history] [handler] [prefix] [startup] [inbox] [tracing]

The exit status is 1 if a promise was broken. Times are of this machine, as busy as it was; the ratios are
within one run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib import import_module

PARTS = ("history", "handler", "prefix", "startup", "inbox", "tracing")


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench")
    options.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    parts = options.parse_args().part or PARTS
    if unknown := set(parts) - set(PARTS):
        options.error(f"no such part: {', '.join(sorted(unknown))}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    broken = 0
    for part in parts:
        started_at = time.monotonic()
        # Imported only when it runs: some parts' libraries take a second.
        for table in import_module(f"tests.bench.{part}").tables():
            print(table, flush=True)
            broken += sum(not promise.is_kept for promise in table.promises)
        print(f"  [{part}: {time.monotonic() - started_at:.0f} s]", flush=True)
    print(f"\n{broken} promises BROKEN" if broken else "\nEvery promise kept.")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
