"""Connections of the console: a person at a terminal, or lines through pipes."""

from __future__ import annotations

import asyncio
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from adapters.console.parse import SPEAKER, is_exit, parse, session_of
from adapters.console.pipes import StandardStreams
from adapters.console.render import THEME, error_text
from adapters.console.reply import PipedReply, TerminalReply
from bot.conversation import Address, Attachment, Incoming, SessionKey, Speaker
from bot.errors import KeepthreadError, PlatformRefused
from bot.ports import Core, Health, Reply

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from adapters.console.line_editor import LineEditor


def open_connection(core: Core, session_name: str, banner: str) -> ConsoleConnection:
    """Connection to a terminal if both ends are one, else to pipes."""
    at_terminal = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    kind = TerminalConnection if at_terminal else PipedConnection
    return kind(core, session_of(session_name), banner)


class ConsoleConnection(ABC):
    """Base of both connections: one conversation, one message at a time."""

    def __init__(self, core: Core, session: SessionKey, banner: str) -> None:
        self._core = core
        self._session = session
        self._banner = banner
        self._answered = asyncio.Event()
        self.exit_status = 0

    @abstractmethod
    def reply(self, address: Address) -> Reply: ...

    @abstractmethod
    async def receive(self) -> None: ...

    def routes(self) -> list[BaseRoute]:
        return []

    def health(self) -> Health:
        return Health(ready=True)

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        return True

    async def download(self, address: Address, attachment: Attachment, max_bytes: int) -> bytes:
        raise PlatformRefused("nothing can be attached in a terminal")

    async def aclose(self) -> None:  # noqa: B027  nothing is open
        """No-op: the streams stay open."""

    async def _submit(self, incoming: Incoming) -> None:
        """Enqueue `incoming` and wait for the end of its reply."""
        self._answered.clear()
        try:
            admission = await self._core.enqueue(incoming)
        except KeepthreadError as error:
            self._report_error(error)
            return
        if admission in ("queued", "merged"):
            await self._answered.wait()

    async def _stop(self) -> None:
        await self._core.stop(self._session, SPEAKER)

    def _reply_closed(self, has_failed: bool) -> None:
        self._answered.set()

    @abstractmethod
    def _report_error(self, error: KeepthreadError) -> None: ...


class TerminalConnection(ConsoleConnection):
    """Connection to a person at a terminal."""

    def __init__(self, core: Core, session: SessionKey, banner: str) -> None:
        super().__init__(core, session, banner)
        self._console = Console(highlight=False, theme=THEME)
        self._stopping: asyncio.Task[None] | None = None
        self._is_answering = False
        self._reply: TerminalReply | None = None

    def reply(self, address: Address) -> TerminalReply:
        self._reply = TerminalReply(self._console, self._reply_closed)
        return self._reply

    async def receive(self) -> None:
        from adapters.console.line_editor import LineEditor

        editor = LineEditor(self._core.settings.bot_data_dir, self._core.commands())
        self._console.print(Text(self._banner, "dim"))
        with self._interruptible():
            try:
                await self._converse(editor)
            except asyncio.CancelledError:
                if not self.exit_status:
                    raise  # cancelled from outside, not by Ctrl-C

    async def _converse(self, editor: LineEditor) -> None:
        from adapters.console.line_editor import suppress_echo

        while True:
            try:
                line = await editor.ask()
            except EOFError:
                return
            if is_exit(line):
                return
            if incoming := parse(line, self._session):
                self._console.print()
                with suppress_echo(sys.stdin.fileno()):
                    await self._submit(incoming)
                self._console.print()

    async def _submit(self, incoming: Incoming) -> None:
        self._is_answering = True
        try:
            await super()._submit(incoming)
            if self._stopping is not None:
                await self._stopping
        finally:
            self._is_answering, self._stopping = False, None

    async def _stop(self) -> None:
        if self._reply is not None:
            await self._reply.set_status("stopping (Ctrl-C again leaves)")
        await super()._stop()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Context in which Ctrl-C stops the running answer, and a second Ctrl-C ends the program."""
        loop = asyncio.get_running_loop()
        previous = signal.getsignal(signal.SIGINT)
        receiving = asyncio.current_task()
        assert receiving is not None  # noqa: S101  a coroutine runs in one

        def interrupt() -> None:
            if not self._is_answering:
                return
            if self._stopping is None:
                self._stopping = asyncio.create_task(self._stop())
            elif not self.exit_status:
                self.exit_status = 128 + signal.SIGINT
                receiving.cancel()

        with suppress(RuntimeError):  # Windows' loops have no signal handlers
            loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            with suppress(RuntimeError):
                loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, previous)

    def _report_error(self, error: KeepthreadError) -> None:
        self._console.print(Text(error_text(error), "bold red"))


class PipedConnection(ConsoleConnection):
    """Connection to pipes or files: lines are answered in order, one at a time."""

    def __init__(self, core: Core, session: SessionKey, banner: str) -> None:
        super().__init__(core, session, banner)
        self._streams = StandardStreams.standard()

    def reply(self, address: Address) -> PipedReply:
        return PipedReply(self._streams, self._reply_closed, self._stop)

    async def receive(self) -> None:
        async with aclosing(self._streams.read_lines()) as lines:
            async for line in lines:
                if is_exit(line):
                    break
                if incoming := parse(line, self._session):
                    await self._submit(incoming)
                if self._streams.write_failure is not None:
                    break
        if self._streams.write_failure is not None and not self._streams.is_reader_gone:
            self._report_error(
                PlatformRefused(f"cannot write: {self._streams.write_failure.strerror}")
            )

    def _reply_closed(self, has_failed: bool) -> None:
        if has_failed:
            self.exit_status = 1
        super()._reply_closed(has_failed)

    def _report_error(self, error: KeepthreadError) -> None:
        self.exit_status = 1
        self._streams.write_error(error_text(error))
