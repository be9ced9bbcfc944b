"""CLI harness: `keepthread …` run by click within the test's own process."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.settings import Settings


class Shell:
    """Runs commands on the Redis of `settings`."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        assert settings.redis_url is not None
        monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
        monkeypatch.setenv("BOT_REDIS_PREFIX", settings.bot_redis_prefix)

    def run(self, *arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(main, arguments, input=stdin)

    def out(self, *arguments: str) -> str:
        """Standard output of a command that must succeed."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return str(result.stdout)
