"""The way an answer takes: growing on a screen, or flowing into a pipe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from adapters.console.pipes import Pipes
from adapters.console.render import Answer, Lines, clean, finished, words_of
from bot.conversation import Turn
from bot.errors import KeepthreadError, PlaceGone, PlatformRefused
from bot.ports import CommandButton, Delivery

REFRESH_S = 0.08
Closed = Callable[[bool], None]
"""Told once that a reply is over, and whether the turn failed."""


class ConsoleReply:
    """What both ways share. See `bot.ports.Reply` for the order of calls."""

    def __init__(self, closed: Closed) -> None:
        self._on_closed: Closed | None = closed
        self._text = ""
        self._has_failed = False

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        return None  # a terminal keeps nothing that could be asked

    def _is_closed(self) -> None:
        """Tell once."""
        tell, self._on_closed = self._on_closed, None
        if tell is not None:
            tell(self._has_failed)


class ScreenReply(ConsoleReply):
    """Markdown that grows in place, and is written for good block by block as it is finished."""

    def __init__(self, console: Console, closed: Closed) -> None:
        super().__init__(closed)
        self._console = console
        self._written = 0
        self._words = ""
        self._live: Live | None = None
        self._spinner = Spinner("dots", style="cyan")
        self._ticking: asyncio.Task[None] | None = None

    async def set_status(self, text: str) -> None:
        self._words = text
        self._animate()

    async def show(self, piece: str) -> None:
        self._text += clean(piece)
        self._animate()
        if "\n" in piece:
            self._write(self._written + finished(self._text[self._written :]))

    async def finish(self, turn: Turn) -> Delivery:
        answer = clean(turn.answer)
        if not answer.startswith(self._text[: self._written]):
            self._written = 0  # another answer than the one shown
        self._text = answer
        try:
            self._still()
            if turn.state == "stopped":
                self._console.print("(stopped)", style="dim")
            elif not answer.strip():
                self._console.print("(no words)", style="dim")
        except OSError as error:
            raise PlaceGone(f"cannot write: {error.strerror}") from error
        return Delivery()

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        self._still()
        self._complain(error)

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        return await self.post(text)

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        self._still()
        self._console.print(Lines(Answer(clean(text))))
        if file is not None:
            try:
                self._console.print(Text(str(save(*file)), "bold"), soft_wrap=True)
            except PlatformRefused as error:
                self._complain(error)
        return Delivery()

    async def aclose(self) -> None:
        try:
            self._still()
        except OSError:
            self._has_failed = True  # the terminal has gone: there is nobody to tell
        finally:
            self._is_closed()

    def _complain(self, error: KeepthreadError) -> None:
        self._has_failed = True
        first, *more = words_of(error).splitlines()
        self._console.print(Text(first, "bold red"))
        for line in more:
            self._console.print(Text(line, "dim"))

    def _animate(self) -> None:
        if self._live is None and self._on_closed is not None:
            self._live = Live(self, console=self._console, transient=True, auto_refresh=False)
            self._live.start(refresh=True)
            self._ticking = asyncio.create_task(self._tick(self._live), name="console refresh")

    async def _tick(self, live: Live) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            live.refresh()

    def _still(self) -> None:
        """Take away what moves, and write what is left for good."""
        if self._ticking is not None:
            self._ticking.cancel()
        if self._live is not None:
            self._live.stop()
        self._live, self._ticking = None, None
        self._write(len(self._text))

    def _write(self, end: int) -> None:
        block, begins = self._text[self._written : end], self._written == 0
        self._written = end  # first: printing redraws what still grows
        if block.strip():
            if not begins:
                self._console.print()
            self._console.print(Lines(Answer(block)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What still grows."""
        rest = self._text[self._written :]
        if rest.strip():
            if self._written:
                yield ""
            yield Lines(Answer(rest), fitting=True)
        else:
            self._spinner.update(text=Text(self._words, "dim"))
            yield self._spinner


class PipedReply(ConsoleReply):
    """Plain text as it comes, ended by a line feed; errors go to the other stream."""

    def __init__(self, pipes: Pipes, closed: Closed, stop: Callable[[], Awaitable[object]]) -> None:
        """`stop` ends an answer that nobody reads any more."""
        super().__init__(closed)
        self._pipes = pipes
        self._stop = stop

    async def set_status(self, text: str) -> None:
        """Nobody looks."""

    async def show(self, piece: str) -> None:
        piece = clean(piece)
        self._text += piece
        await self._pipes.write(piece)
        if self._pipes.broken is not None:
            await self._stop()

    async def finish(self, turn: Turn) -> Delivery:
        answer = clean(turn.answer)
        rest = answer.removeprefix(self._text)
        if len(rest) == len(answer):
            await self._end_line()
        self._text = answer
        await self._pipes.write(rest)
        await self._end_line()
        if self._pipes.broken is not None:
            raise PlaceGone(f"cannot write: {self._pipes.broken.strerror}")
        return Delivery()

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        await self._end_line()
        self._complain(error)

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        return await self.post(text)

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        await self._end_line()
        await self._pipes.write(f"{clean(text)}\n")
        if file is not None:
            try:
                await self._pipes.write(f"{save(*file)}\n")
            except PlatformRefused as error:
                self._complain(error)
        return Delivery()

    async def aclose(self) -> None:
        self._is_closed()

    def _complain(self, error: KeepthreadError) -> None:
        self._has_failed = True
        self._pipes.complain(words_of(error))

    async def _end_line(self) -> None:
        if self._text and not self._text.endswith("\n"):
            await self._pipes.write("\n")
        self._text = ""


def save(name: str, content: bytes, folder: Path | None = None) -> Path:
    """Write a file into the current folder, for its owner only, beside what is there already.

    Raises:
        PlatformRefused: it cannot be written.
    """
    wanted = (folder or Path.cwd()) / Path(name).name
    path, number = wanted, 1
    while True:
        try:
            with open(path, "xb", opener=_for_owner) as file:
                file.write(content)
        except FileExistsError:
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
        except OSError as error:
            raise PlatformRefused(f"{path}: {error.strerror}") from error
        else:
            return path


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
