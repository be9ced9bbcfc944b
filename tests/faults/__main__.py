"""`make faults`: runs every scenario with all its seeds and prints a table. Exit status 1 if a promise was broken.

python -m tests.faults [NAME PART] [--conversations 500] [--seeds N] [--least-rights]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from pathlib import Path

from bot.logs import configure_logging
from tests.faults.scenarios import MAX_RECOVERY_S, SCENARIOS, Load
from tests.faults.servers import DurableRedis

SCENARIO_TIMEOUT_S = 180
"""Limit of one run, many times the slowest."""

ROW = "{:28} {:>4} {:>6} {:>5} {:>9} {:>9} {:>6} {:>8} {:>9} {:>7}"
TITLES = (
    "scenario",
    "seed",
    "sent",
    "lost",
    "rep.hist",
    "rep.shown",
    "order",
    "overlap",
    "recovery",
    "time",
)


async def main(part: str, load: Load, seeds: int | None) -> int:
    print(ROW.format(*TITLES), flush=True)
    broken = 0
    with tempfile.TemporaryDirectory(prefix="kt-faults-") as folder:
        for name, (scenario, usual) in SCENARIOS.items():
            if part.lower() not in name.lower():
                continue
            for seed in range(seeds or usual):
                started_at = time.monotonic()
                try:
                    async with asyncio.timeout(SCENARIO_TIMEOUT_S):
                        tally = await scenario(Path(folder), load, seed)
                except Exception as error:  # noqa: BLE001  the other scenarios run all the same
                    print(f"{name:28} {seed:>4} BROKEN: {error!r}", flush=True)
                    broken += 1
                    continue
                late = tally.recovery_s > MAX_RECOVERY_S.get(name, math.inf)
                broken += late or not tally.is_clean
                print(
                    ROW.format(
                        name, seed, tally.sent, tally.lost, tally.repeated_in_history,
                        tally.repeated_to_person, tally.out_of_order, tally.overlapped,
                        f"{tally.recovery_s:.1f} s", f"{time.monotonic() - started_at:.0f} s",
                    ),
                    flush=True,
                )  # fmt: skip
                if tally.figures:
                    print(f"{'':28} {tally.figures}", flush=True)
    print("All promises kept." if not broken else f"{broken} runs broke a promise.")
    return int(bool(broken))


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.faults")
    options.add_argument("part", nargs="?", default="")
    options.add_argument("--conversations", type=int, default=500)
    options.add_argument("--seeds", type=int)
    options.add_argument(
        "--least-rights",
        action="store_true",
        help="Redis users have the rights in docs/redis.md only",
    )
    given = options.parse_args()
    DurableRedis.has_least_rights = given.least_rights
    configure_logging("error", "text")
    sys.exit(asyncio.run(main(given.part, Load(given.conversations), given.seeds)))
