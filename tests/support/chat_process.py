"""`keepthread` as people run it: a process of its own, with nothing set but what a test sets."""

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
    """Runs commands over one data folder.

    Attributes:
        home: the folder it runs in; its data are in `home/data`.
        settings: environment variables of ours.
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
        """Run it with pipes at all three ends; the caller closes it (`with`)."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run it to its end: exit status, standard output, standard error. Blocks."""
        with self.start(*arguments) as process:
            out, err = process.communicate(stdin.encode(), timeout=240)
        return process.returncode, out.decode(), err.decode()
