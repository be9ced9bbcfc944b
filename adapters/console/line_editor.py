"""The line editor: history, completion, several lines. And the keyboard while an answer is written."""

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
HINT = FormattedText([("ansibrightblack", "Ctrl-D leaves")])


class Commands(Completer):
    """Completes `/he` to `/help`, and shows what each command does."""

    def __init__(self, specs: Sequence[CommandSpec]) -> None:
        self._known = {spec.name: spec.summary for spec in specs} | {"quit": "Leave."}

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        word = document.text_before_cursor
        if not word.startswith("/"):
            return
        for name, summary in self._known.items():
            if f"/{name}".startswith(word):
                yield Completion(f"/{name}", -len(word), display_meta=summary)


class Editor:
    """Asks for lines. What was said before is kept in `folder`, for its owner only."""

    def __init__(self, folder: Path, specs: Sequence[CommandSpec]) -> None:
        self._says_how_to_leave = False
        self._commands = Commands(specs)
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=FileHistory(_private_file(folder / "console-history")),
            completer=self._commands,
            complete_while_typing=Condition(self._is_command),
            reserve_space_for_menu=len(specs) + 2,
            key_bindings=self._keys(),
            multiline=True,
            prompt_continuation="  ",
            rprompt=lambda: HINT if self._says_how_to_leave else None,
        )

    async def ask(self) -> str:
        """What the person typed. Raises EOFError when they leave, or the terminal is gone."""
        self._says_how_to_leave = False
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
            found = list(self._commands.get_completions(buffer.document, CompleteEvent()))
            buffer.insert_text(get_common_complete_suffix(buffer.document, found))

        @keys.add("escape", "enter")
        def begin_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-c")
        def clear(event: KeyPressEvent) -> None:
            self._says_how_to_leave = not event.current_buffer.text
            event.current_buffer.reset()

        return keys


def _private_file(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return str(path)


@contextmanager
def unechoed(fd: int) -> Iterator[None]:
    """Within, keys typed are not shown amid the answer; they wait for the next line. Ctrl-C still counts."""
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    before = termios.tcgetattr(fd)
    quiet = list(before)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)  # line by line a Ctrl-D would be lost
    termios.tcsetattr(fd, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with suppress(termios.error):  # the window was closed
            termios.tcsetattr(fd, termios.TCSANOW, before)
