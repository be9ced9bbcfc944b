"""Replies of the console: growing on a terminal, or streamed into a pipe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from adapters.console.pipes import StandardStreams
from adapters.console.render import (
    AnswerMarkdown,
    TrimmedLines,
    error_text,
    finished_length,
)
from bot.conversation import Turn
from bot.errors import KeepthreadError, PlaceGone, PlatformRefused
from bot.ports import CommandButton, Delivery
from bot.text import strip_controls

REFRESH_S = 0.08
OnClosed = Callable[[bool], None]
"""Callback at the end of a reply, with whether the turn failed."""


class ConsoleReply:
    """Base of both replies. See `bot.ports.Reply` for the order of calls."""

    def __init__(self, closed: OnClosed) -> None:
        self._on_closed: OnClosed | None = closed
        self._text = ""
        self._has_failed = False

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        return None  # a terminal cannot be queried

    def _notify_closed(self) -> None:
        """Call the callback, once."""
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            on_closed(self._has_failed)


class TerminalReply(ConsoleReply):
    """Reply on a terminal: Markdown that grows in place; each finished block is printed for good."""

    def __init__(self, console: Console, closed: OnClosed) -> None:
        super().__init__(closed)
        self._console = console
        self._written = 0
        self._status = ""
        self._live: Live | None = None
        self._spinner = Spinner("dots", style="cyan")
        self._refreshing: asyncio.Task[None] | None = None

    async def set_status(self, text: str) -> None:
        self._status = text
        self._animate()

    async def show(self, delta: str) -> None:
        self._text += strip_controls(delta)
        self._animate()
        if "\n" in delta:
            self._write(self._written + finished_length(self._text[self._written :]))

    async def finish(self, turn: Turn) -> Delivery:
        answer = strip_controls(turn.answer)
        if not answer.startswith(self._text[: self._written]):
            self._written = 0  # the answer differs from the text shown
        self._text = answer
        try:
            self._stop_animation()
            if turn.state == "stopped":
                self._console.print("(stopped)", style="dim")
            elif not answer.strip():
                self._console.print("(no words)", style="dim")
        except OSError as error:
            raise PlaceGone(f"cannot write: {error.strerror}") from error
        return Delivery()

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        self._stop_animation()
        self._report_error(error)

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        return await self.post(text)

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        self._stop_animation()
        self._console.print(TrimmedLines(AnswerMarkdown(strip_controls(text))))
        if file is not None:
            try:
                self._console.print(Text(str(save_file(*file)), "bold"), soft_wrap=True)
            except PlatformRefused as error:
                self._report_error(error)
        return Delivery()

    async def aclose(self) -> None:
        try:
            self._stop_animation()
        except OSError:
            self._has_failed = True  # the terminal is closed
        finally:
            self._notify_closed()

    def _report_error(self, error: KeepthreadError) -> None:
        self._has_failed = True
        first, *more = error_text(error).splitlines()
        self._console.print(Text(first, "bold red"))
        for line in more:
            self._console.print(Text(line, "dim"))

    def _animate(self) -> None:
        if self._live is None and self._on_closed is not None:
            self._live = Live(self, console=self._console, transient=True, auto_refresh=False)
            self._live.start(refresh=True)
            self._refreshing = asyncio.create_task(
                self._refresh(self._live), name="console refresh"
            )

    async def _refresh(self, live: Live) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            live.refresh()

    def _stop_animation(self) -> None:
        """Remove the live display, and print the rest of the text."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        if self._live is not None:
            self._live.stop()
        self._live, self._refreshing = None, None
        self._write(len(self._text))

    def _write(self, end: int) -> None:
        block, is_first = self._text[self._written : end], self._written == 0
        self._written = end  # first: printing redraws the live display
        if block.strip():
            if not is_first:
                self._console.print()
            self._console.print(TrimmedLines(AnswerMarkdown(block)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live display: the unfinished block, or the status."""
        rest = self._text[self._written :]
        if rest.strip():
            if self._written:
                yield ""
            yield TrimmedLines(AnswerMarkdown(rest), fits_screen=True)
        else:
            self._spinner.update(text=Text(self._status, "dim"))
            yield self._spinner


class PipedReply(ConsoleReply):
    """Reply into a pipe: plain text as it arrives, ended by a line feed; errors go to standard error."""

    def __init__(
        self, streams: StandardStreams, closed: OnClosed, stop: Callable[[], Awaitable[object]]
    ) -> None:
        """`stop` cancels the turn when the reader has closed the pipe."""
        super().__init__(closed)
        self._streams = streams
        self._stop = stop

    async def set_status(self, text: str) -> None:
        """No-op: a pipe shows no status."""

    async def show(self, delta: str) -> None:
        delta = strip_controls(delta)
        self._text += delta
        await self._streams.write(delta)
        if self._streams.write_failure is not None:
            await self._stop()

    async def finish(self, turn: Turn) -> Delivery:
        answer = strip_controls(turn.answer)
        rest = answer.removeprefix(self._text)
        if len(rest) == len(answer):
            await self._end_line()
        self._text = answer
        await self._streams.write(rest)
        await self._end_line()
        if self._streams.write_failure is not None:
            raise PlaceGone(f"cannot write: {self._streams.write_failure.strerror}")
        return Delivery()

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        await self._end_line()
        self._report_error(error)

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        return await self.post(text)

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        await self._end_line()
        await self._streams.write(f"{strip_controls(text)}\n")
        if file is not None:
            try:
                await self._streams.write(f"{save_file(*file)}\n")
            except PlatformRefused as error:
                self._report_error(error)
        return Delivery()

    async def aclose(self) -> None:
        self._notify_closed()

    def _report_error(self, error: KeepthreadError) -> None:
        self._has_failed = True
        self._streams.write_error(error_text(error))

    async def _end_line(self) -> None:
        if self._text and not self._text.endswith("\n"):
            await self._streams.write("\n")
        self._text = ""


def save_file(name: str, content: bytes, folder: Path | None = None) -> Path:
    """Write a file into the current folder, for its owner only, without overwriting another.

    Raises:
        PlatformRefused: it cannot be written.
    """
    first_path = (folder or Path.cwd()) / Path(name).name
    path, number = first_path, 1
    while True:
        try:
            with open(path, "xb", opener=_open_for_owner) as file:
                file.write(content)
        except FileExistsError:
            number += 1
            path = first_path.with_stem(f"{first_path.stem}-{number}")
        except OSError as error:
            raise PlatformRefused(f"{path}: {error.strerror}") from error
        else:
            return path


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
