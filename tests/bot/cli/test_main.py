"""The entry point: its help, and what that imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from bot.cli.main import main

SLOW_TO_IMPORT = (
    *("aiohttp", "httpx2", "langchain_core", "langsmith", "openai", "prompt_toolkit", "pydantic"),
    *("redis", "rich", "slack_bolt", "starlette", "structlog", "telegram"),
)
PRINT_IMPORTS = """
import sys
from bot.cli.main import main
main(["--help"], standalone_mode=False)
print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def test_help_imports_no_slow_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_IMPORTS], check=True, capture_output=True, text=True
    )
    assert "doctor" in done.stdout
    imported = set(done.stderr.split())
    assert "bot.cli.serve" in imported
    assert imported.isdisjoint(SLOW_TO_IMPORT)


@pytest.mark.parametrize(
    "command", ["chat", "doctor", "inbox", "model", "serve", "sessions", "slack"]
)
def test_help_lists_each_command_with_its_summary(command: str) -> None:
    lines = CliRunner().invoke(main, ["--help"]).stdout.splitlines()
    (line,) = [line for line in lines if line.split()[:1] == [command]]
    assert len(line.split()) > 3
