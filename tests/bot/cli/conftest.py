"""Fixtures of the command line: commands in this process, and in processes of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.settings import Settings
from tests.fakes.model_server import ModelServer
from tests.support.chat_process import Program
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


@pytest.fixture
def program(tmp_path: Path, model: ModelServer) -> Program:
    """The command in processes of its own, with a data folder and a model on loopback."""
    return Program.with_model(tmp_path, model)
