"""Process harness: `keepthread` as a process, whose environment is what a test sets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.model_server import ModelServer
from tests.support.repository import ROOT


@dataclass(slots=True)
class Program:
    """Runs the command over one data folder.

    Attributes:
        home: its working directory; its data are in `home/data`.
        settings: its settings, as environment variables.
    """

    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def with_model(cls, home: Path, model: ModelServer) -> Program:
        return cls(home, {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "fake"})

    @property
    def environment(self) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "BOT_DATA_DIR": str(self.home / "data"),
            **self.settings,
        }

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "bot.cli.main", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it with pipes for stdin, stdout and stderr; the caller closes it (`with`)."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run it to its end; blocks. Returns exit status, standard output and standard error."""
        with self.start(*arguments) as process:
            out, err = process.communicate(stdin.encode(), timeout=240)
        return process.returncode, out.decode(), err.decode()
