"""Chat command: its name, its rules, and the function that runs it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass

from bot.commands.call import Call
from bot.ports import CommandSpec

_NAME = re.compile(r"[a-z]{1,32}")
"""Names that every platform's menu takes, and that the terminal tells from a path."""


@dataclass(frozen=True, slots=True)
class Command(CommandSpec):
    """Chat command, all facts about it in one place.

    A package adds one by an entry point of the group `keepthread.chat_commands` that names it.

    Attributes:
        run: does what the command says. What it raises as CommandError is told to the person.
        interrupts: ends the answer that is being written, rather than wait for it.
        reads_only: changes nothing, so it need not wait for the answer that is being written.
    """

    _: KW_ONLY
    run: Callable[[Call], Awaitable[None]]
    interrupts: bool = False
    reads_only: bool = False

    def __post_init__(self) -> None:
        for name in self.names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"a command is called by 1 to 32 letters a-z, not {name!r}")
