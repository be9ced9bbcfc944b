"""The console adapter and its connection."""

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

from adapters.console.parse import SPEAKER, is_goodbye, parse, session_of
from adapters.console.pipes import Pipes
from adapters.console.render import THEME, words_of
from adapters.console.reply import PipedReply, ScreenReply
from bot.conversation import Address, Attachment, Incoming, SessionKey, Speaker
from bot.errors import KeepthreadError, PlatformRefused
from bot.ports import Core, Health, Reply

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from adapters.console.line_editor import Editor


def open_connection(core: Core, session_name: str, banner: str) -> ConsoleConnection:
    """Connection for a person at a terminal, or for what is piped."""
    at_terminal = all(end is not None and end.isatty() for end in (sys.stdin, sys.stdout))
    kind = TerminalConnection if at_terminal else PipedConnection
    return kind(core, session_of(session_name), banner)


class ConsoleConnection(ABC):
    """What terminal and pipes share: one conversation, one message at a time."""

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

    async def download(self, address: Address, attachment: Attachment) -> bytes:
        raise PlatformRefused("nothing can be attached in a terminal")

    async def aclose(self) -> None:  # noqa: B027  nothing is open
        """The terminal stays."""

    async def _answer(self, incoming: Incoming) -> None:
        """Put `incoming` in and wait until it is answered."""
        self._answered.clear()
        try:
            admission = await self._core.enqueue(incoming)
        except KeepthreadError as error:
            self._complain(error)
            return
        if admission in ("queued", "merged"):
            await self._answered.wait()

    async def _stop(self) -> None:
        await self._core.stop(self._session, SPEAKER)

    def _closed(self, has_failed: bool) -> None:
        self._answered.set()

    @abstractmethod
    def _complain(self, error: KeepthreadError) -> None: ...


class TerminalConnection(ConsoleConnection):
    """A person at a terminal."""

    def __init__(self, core: Core, session: SessionKey, banner: str) -> None:
        super().__init__(core, session, banner)
        self._console = Console(highlight=False, theme=THEME)
        self._stopping: asyncio.Task[None] | None = None
        self._is_answering = False
        self._reply: ScreenReply | None = None

    def reply(self, address: Address) -> ScreenReply:
        self._reply = ScreenReply(self._console, self._closed)
        return self._reply

    async def receive(self) -> None:
        from adapters.console.line_editor import Editor

        editor = Editor(self._core.settings.bot_data_dir, self._core.commands())
        self._console.print(Text(self._banner, "dim"))
        with self._interruptible():
            try:
                await self._talk(editor)
            except asyncio.CancelledError:
                if not self.exit_status:
                    raise  # somebody else wants us to end

    async def _talk(self, editor: Editor) -> None:
        from adapters.console.line_editor import unechoed

        while True:
            try:
                line = await editor.ask()
            except EOFError:
                return
            if is_goodbye(line):
                return
            if incoming := parse(line, self._session):
                self._console.print()
                with unechoed(sys.stdin.fileno()):
                    await self._answer(incoming)
                self._console.print()

    async def _answer(self, incoming: Incoming) -> None:
        self._is_answering = True
        try:
            await super()._answer(incoming)
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
        """Within, Ctrl-C stops the answer and not the program; pressed again it ends the program."""
        loop = asyncio.get_running_loop()
        before = signal.getsignal(signal.SIGINT)
        receiving = asyncio.current_task()
        assert receiving is not None  # noqa: S101  we run in it

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
            signal.signal(signal.SIGINT, before)

    def _complain(self, error: KeepthreadError) -> None:
        self._console.print(Text(words_of(error), "bold red"))


class PipedConnection(ConsoleConnection):
    """Lines from a program or a file, answered one after the other."""

    def __init__(self, core: Core, session: SessionKey, banner: str) -> None:
        super().__init__(core, session, banner)
        self._pipes = Pipes.standard()

    def reply(self, address: Address) -> PipedReply:
        return PipedReply(self._pipes, self._closed, self._stop)

    async def receive(self) -> None:
        async with aclosing(self._pipes.lines()) as lines:
            async for line in lines:
                if is_goodbye(line):
                    break
                if incoming := parse(line, self._session):
                    await self._answer(incoming)
                if self._pipes.broken is not None:
                    break
        if self._pipes.broken is not None and not self._pipes.is_reader_gone:
            self._complain(PlatformRefused(f"cannot write: {self._pipes.broken.strerror}"))

    def _closed(self, has_failed: bool) -> None:
        self.exit_status |= has_failed
        super()._closed(has_failed)

    def _complain(self, error: KeepthreadError) -> None:
        self.exit_status = 1
        self._pipes.complain(words_of(error))
