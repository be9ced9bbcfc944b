"""Fixtures of the embedded server's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bot.storage.embedded.harness import (
    processes,
)
from tests.support.wait import wait_until


@pytest.fixture
async def data_dir(tmp_path: Path) -> AsyncIterator[Path]:
    folder = tmp_path / "d"
    yield folder
    try:
        await wait_until(lambda: processes(folder) == [])
    finally:
        for process in processes(folder):
            process.kill()
