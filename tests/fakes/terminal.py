"""Terminal for programs under test: a pseudo-terminal (pexpect) and an emulator of its screen (pyte)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import pexpect
import psutil
import pyte
from pyte.screens import Char

KEYS = {"enter": "\r", "tab": "\t", "up": "\x1b[A", "ctrl-c": "\x03", "ctrl-d": "\x04"}
KEYS["alt-enter"] = "\x1b\r"


class Terminal:
    """Runs a command: `with Terminal(command, environment) as terminal`. `text` includes the scrollback."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        *,
        lines: int = 24,
        columns: int = 80,
        folder: Path | None = None,
    ) -> None:
        self.raw = ""
        self._screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=1)
        self._screen.write_process_input = self._write_reply
        self._stream = pyte.Stream(self._screen)
        self._child = pexpect.spawn(
            command[0],
            command[1:],
            env={**environment, "TERM": "xterm-256color"},
            cwd=folder,
            dimensions=(lines, columns),
            encoding="utf-8",
        )
        self._child.delaybeforesend = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close(force=True)

    @property
    def pid(self) -> int:
        return int(self._child.pid)

    @property
    def scrollback(self) -> list[str]:
        """Lines that scrolled off the top of the screen."""
        width = self._screen.columns
        return [
            "".join(line[at].data for at in range(width)).rstrip()
            for line in self._screen.history.top
        ]

    @property
    def screen(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def cells(self) -> list[list[Char]]:
        """Cells of the screen, with their colours."""
        rows, columns = range(self._screen.lines), range(self._screen.columns)
        return [[self._screen.buffer[row][column] for column in columns] for row in rows]

    @property
    def text(self) -> str:
        """The scrollback and the screen."""
        return "\n".join([*self.scrollback, *self.screen]).rstrip()

    def press(self, *keys: str) -> None:
        """Send keys: names from KEYS, or text to type."""
        for key in keys:
            self._child.send(KEYS.get(key, key))

    def wait_for(self, text: str, timeout_s: float = 120) -> None:
        """Wait until `text` is on the screen or in the scrollback."""
        self.wait_for_condition(lambda: text in self.text, repr(text), timeout_s)

    def wait_for_prompt(self, timeout_s: float = 120) -> None:
        """Wait until the last line is an empty prompt with the cursor in it."""
        self.wait_for_line("›", timeout_s)

    def wait_for_line(self, start: str, timeout_s: float = 120) -> None:
        """Wait until the cursor's line is `start`, and the cursor one column behind it."""

        def is_there() -> bool:
            cursor = self._screen.cursor
            return self.screen[cursor.y] == start and cursor.x == len(start) + 1

        self.wait_for_condition(is_there, f"line {start!r}", timeout_s)

    def wait_for_condition(
        self, predicate: Callable[[], object], awaited: str, timeout_s: float = 120
    ) -> None:
        """Wait until `predicate` is true; `awaited` names it in the error."""
        deadline = time.monotonic() + timeout_s
        while not predicate():
            assert time.monotonic() < deadline, f"no {awaited} within {timeout_s} s:\n{self.text}"
            try:
                self._feed(self._child.read_nonblocking(65_536, timeout=0.05))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                assert predicate(), f"ended without {awaited}:\n{self.text}"
                return

    def wait_until_idle(self, timeout_s: float = 120) -> None:
        """Wait until the process sleeps, as it does while it waits for keys."""
        process = psutil.Process(self.pid)
        self.wait_for_condition(
            lambda: process.status() == psutil.STATUS_SLEEPING, "rest", timeout_s
        )

    def wait_for_exit(self, timeout_s: float = 120) -> int:
        """Wait until the process ends. Returns its exit status, negative for a signal."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                self._feed(self._child.read_nonblocking(65_536, timeout=0.05))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
        else:
            raise AssertionError(f"not ended within {timeout_s} s:\n{self.text}")
        self._child.wait()
        status = self._child.exitstatus
        return -self._child.signalstatus if status is None else int(status)

    def hang_up(self) -> int:
        """Close the terminal, which sends SIGHUP, and wait until the process ends. Returns its exit status."""
        self._child.ptyproc.fileobj.close()
        self._child.ptyproc.closed = True
        return int(self._child.wait() or -(self._child.signalstatus or 0))

    def _feed(self, text: str) -> None:
        self.raw += text
        self._stream.feed(text)

    def _write_reply(self, data: str) -> None:
        """Send the terminal's answer to a query of the program, such as the cursor's position."""
        os.write(self._child.child_fd, data.encode())
