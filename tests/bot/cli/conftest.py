"""Fixtures of the command's tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from bot.settings import Settings
from tests.support.cli_harness import Shell


@pytest.fixture
def shell(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell on the test's Redis. Afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield Shell(settings, monkeypatch)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
