"""Fault scenarios under a small load; `make faults` runs all of them with more load and seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scenarios import SCENARIOS, Load
from tests.faults.servers import DurableRedis

SMALL = Load(conversations=40, messages=4, rate=100)  # so that there is something left to break
QUICK = (
    "burst",
    "duplicates",
    "kill -9 of a worker",
    "SIGTERM, long grace",
    "Redis kill -9, everysec",
    "SIGSTOP for two leases",
    "the primary's name moves",
)


@pytest.mark.slow
async def test_a_kill_with_the_least_rights_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: a killed process' turns are taken over by another under the least rights."""
    monkeypatch.setattr(DurableRedis, "has_least_rights", True)
    tally = await SCENARIOS["kill -9 of a worker"][0](tmp_path, SMALL, 0)
    assert tally.sent == SMALL.conversations * SMALL.messages
    assert tally.is_clean, tally


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
async def test_nothing_is_lost_repeated_or_reordered(name: str, tmp_path: Path) -> None:
    scenario, _ = SCENARIOS[name]
    tally = await scenario(tmp_path, SMALL, 0)
    assert tally.sent == SMALL.conversations * SMALL.messages
    assert tally.is_clean, tally
