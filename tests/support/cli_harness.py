"""`keepthread …` within the test's own process, as a person at a shell would use it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.settings import Settings


class Shell:
    """Runs commands on the server of `settings`."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        assert settings.redis_url is not None
        monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
        monkeypatch.setenv("BOT_REDIS_PREFIX", settings.bot_redis_prefix)

    def run(self, *words: str, said: str = "") -> Result:
        return CliRunner().invoke(main, words, input=said)

    def out(self, *words: str) -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*words)
        assert done.exit_code == 0, done.output
        return str(done.stdout)


@pytest.fixture
def shell(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell. What a command does to logging is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield Shell(settings, monkeypatch)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
