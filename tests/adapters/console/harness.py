"""Harness of the console: a terminal that records, and the rendering of Markdown."""

from __future__ import annotations

import io
import re

import hypothesis
from rich.console import Console

from adapters.console.parse import SPEAKER, parse, session_of
from adapters.console.pipes import StandardStreams
from adapters.console.render import THEME, AnswerMarkdown, TrimmedLines
from adapters.console.reply import PipedReply, TerminalReply
from bot.conversation import Address
from bot.service.direct_core import DirectCore
from tests.support.wait import wait_until

SESSION = session_of("test")
unhurried = hypothesis.settings(deadline=None)


def rendered(*texts: str, width: int = 60) -> str:
    """Markdown as a terminal shows it, without colours."""
    out = io.StringIO()
    console = Console(file=out, width=width, theme=THEME)
    for text in texts:
        console.print(TrimmedLines(AnswerMarkdown(text)))
    return out.getvalue()


class RecordingTerminal:
    """Connection whose replies go to a terminal of 60 by 10 cells, or to `streams`."""

    def __init__(self, core: DirectCore, streams: StandardStreams | None = None) -> None:
        self.core = core
        self.out = io.StringIO()
        self.streams = streams
        self.console = Console(
            file=self.out, width=60, height=10, theme=THEME, force_terminal=True, color_system=None
        )
        self.closed: list[bool] = []
        core.connect(self)

    def reply(self, address: Address) -> TerminalReply | PipedReply:
        if self.streams is not None:
            return PipedReply(self.streams, self.closed.append, self.stop)
        return TerminalReply(self.console, self.closed.append)

    async def stop(self) -> None:
        await self.core.stop(SESSION, SPEAKER)

    async def ask(self, line: str) -> bool:
        """Whether the turn of `line` failed."""
        incoming = parse(line, SESSION)
        assert incoming is not None
        await self.core.enqueue(incoming)
        await wait_until(lambda: self.closed)
        return self.closed.pop()

    def screen(self) -> str:
        """The text on the terminal at the end, without what was redrawn."""
        lines, row = [""], 0
        for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", self.out.getvalue()):
            if part == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part.endswith("A") and part.startswith("\x1b"):
                row -= int(part[2:-1] or 1)
                assert row >= 0, "above the screen"
            elif part == "\x1b[2K":
                lines[row] = ""
            elif not part.startswith(("\x1b", "\r")):
                lines[row] += part
        return "\n".join(lines)
