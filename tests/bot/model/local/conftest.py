"""Fixtures of the local model: a small real model, and settings that name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.settings import Settings
from tests.fakes.small_model import small_model


@pytest.fixture(scope="session")
def gguf() -> Path:
    return small_model()


@pytest.fixture
def local(tmp_path: Path, gguf: Path) -> Settings:
    return Settings.load(bot_data_dir=tmp_path / "data", bot_local_model=gguf)
