"""Fault scenarios under a small load; `make faults` runs all of them with more load and seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scenarios import SCENARIOS, Load

SMALL = Load(conversations=40, messages=4, rate=100)  # so that there is something left to break
QUICK = (
    "burst",
    "duplicates",
    "kill -9 of a worker",
    "SIGTERM, long grace",
    "Redis kill -9, everysec",
    "SIGSTOP for two leases",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
async def test_nothing_is_lost_repeated_or_reordered(name: str, tmp_path: Path) -> None:
    scenario, _ = SCENARIOS[name]
    tally = await scenario(tmp_path, SMALL, 0)
    assert tally.sent == SMALL.conversations * SMALL.messages
    assert tally.is_clean, tally
