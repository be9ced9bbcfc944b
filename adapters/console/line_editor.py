"""Line editor with history, completion and multi-line input; suppression of echo during an answer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import (
    CompleteEvent,
    Completer,
    Completion,
    get_common_complete_suffix,
)
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent

from bot.ports import CommandSpec

PROMPT = FormattedText([("bold ansicyan", "› ")])
LEAVE_HINT = FormattedText([("ansibrightblack", "Ctrl-D leaves")])


class CommandCompleter(Completer):
    """Completer of commands: `/he` to `/help`, with the summary of each."""

    def __init__(self, specs: Sequence[CommandSpec]) -> None:
        self._summaries = {spec.name: spec.summary for spec in specs} | {"quit": "Leave."}

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        word = document.text_before_cursor
        if not word.startswith("/"):
            return
        for name, summary in self._summaries.items():
            if f"/{name}".startswith(word):
                yield Completion(f"/{name}", -len(word), display_meta=summary)


class LineEditor:
    """Prompt for lines. The history is kept in `folder`, for its owner only."""

    def __init__(self, folder: Path, specs: Sequence[CommandSpec]) -> None:
        self._shows_leave_hint = False
        self._completer = CommandCompleter(specs)
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=FileHistory(_make_private_file(folder / "console-history")),
            completer=self._completer,
            complete_while_typing=Condition(self._is_command),
            reserve_space_for_menu=len(specs) + 2,
            key_bindings=self._keys(),
            multiline=True,
            prompt_continuation="  ",
            rprompt=lambda: LEAVE_HINT if self._shows_leave_hint else None,
        )

    async def ask(self) -> str:
        """The lines typed. Raises EOFError at Ctrl-D, or when the terminal is closed."""
        self._shows_leave_hint = False
        return await self._session.prompt_async(handle_sigint=False)

    def _is_command(self) -> bool:
        return self._session.default_buffer.text.startswith("/")

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def send(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add("tab")
        def complete(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.complete_state:
                buffer.complete_next()
                return
            completions = list(self._completer.get_completions(buffer.document, CompleteEvent()))
            buffer.insert_text(get_common_complete_suffix(buffer.document, completions))

        @keys.add("escape", "enter")
        def insert_line_break(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-c")
        def clear(event: KeyPressEvent) -> None:
            self._shows_leave_hint = not event.current_buffer.text
            event.current_buffer.reset()

        return keys


def _make_private_file(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return str(path)


@contextmanager
def suppress_echo(fd: int) -> Iterator[None]:
    """Context without echo: keys typed during an answer are kept for the next line. Ctrl-C still works."""
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    previous = termios.tcgetattr(fd)
    changed = list(previous)
    changed[3] &= ~(termios.ECHO | termios.ICANON)  # in canonical mode a Ctrl-D would be lost
    termios.tcsetattr(fd, termios.TCSANOW, changed)
    try:
        yield
    finally:
        with suppress(termios.error):  # the window was closed
            termios.tcsetattr(fd, termios.TCSANOW, previous)
