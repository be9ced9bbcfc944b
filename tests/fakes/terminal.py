"""A terminal for programs under test: a real pseudo-terminal, and an emulator that shows what a person sees."""

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
    """`with Terminal(command, environment) as terminal`. What scrolled off the top is seen too."""

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
        self._screen.write_process_input = self._answer
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
    def scrolled(self) -> list[str]:
        """The lines above the screen."""
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
        """The screen with its colours."""
        rows, columns = range(self._screen.lines), range(self._screen.columns)
        return [[self._screen.buffer[row][column] for column in columns] for row in rows]

    @property
    def text(self) -> str:
        """Everything a person can see, scrolling up included."""
        return "\n".join([*self.scrolled, *self.screen]).rstrip()

    def press(self, *keys: str) -> None:
        """Names from KEYS, or text to type."""
        for key in keys:
            self._child.send(KEYS.get(key, key))

    def see(self, text: str, timeout_s: float = 120) -> None:
        """Wait until `text` can be seen."""
        self.see_that(lambda: text in self.text, repr(text), timeout_s)

    def see_prompt(self, timeout_s: float = 120) -> None:
        """Wait until the last line is an empty prompt, with the cursor in it."""

        self.see_line("›", timeout_s)

    def see_line(self, start: str, timeout_s: float = 120) -> None:
        """Wait until the line with the cursor is `start`, and the cursor a blank behind it."""

        def is_there() -> bool:
            cursor = self._screen.cursor
            return self.screen[cursor.y] == start and cursor.x == len(start) + 1

        self.see_that(is_there, f"line {start!r}", timeout_s)

    def see_that(self, predicate: Callable[[], object], what: str, timeout_s: float = 120) -> None:
        """Wait until `predicate` is true; `what` it means is said if it never is."""
        deadline = time.monotonic() + timeout_s
        while not predicate():
            assert time.monotonic() < deadline, f"no {what} within {timeout_s} s:\n{self.text}"
            try:
                self._feed(self._child.read_nonblocking(65_536, timeout=0.05))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                assert predicate(), f"ended without {what}:\n{self.text}"
                return

    def see_that_it_waits(self, timeout_s: float = 120) -> None:
        """Wait until the program does nothing but wait: for keys, after it has asked something."""
        process = psutil.Process(self.pid)
        self.see_that(lambda: process.status() == psutil.STATUS_SLEEPING, "rest", timeout_s)

    def end(self, timeout_s: float = 120) -> int:
        """Wait for its end; the exit status."""
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
        """Close the window (the system tells the program by SIGHUP) and wait for its end; the exit status."""
        self._child.ptyproc.fileobj.close()
        self._child.ptyproc.closed = True
        return int(self._child.wait() or -(self._child.signalstatus or 0))

    def _feed(self, text: str) -> None:
        self.raw += text
        self._stream.feed(text)

    def _answer(self, data: str) -> None:
        """What a terminal says when asked, such as where its cursor is."""
        os.write(self._child.child_fd, data.encode())
