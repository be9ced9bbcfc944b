"""From an answer to what a terminal shows. Pure.

The rule of this module is that nothing is lost: where Markdown would hide words (HTML, the targets of
links and pictures, single line breaks), they are shown as they were written.
"""

from __future__ import annotations

import re
from typing import ClassVar

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import Heading, Markdown
from rich.segment import Segment

from bot.errors import KeepthreadError

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""C0 and C1 but tab and line feed, and the overrides of the direction of writing (UAX #9): an answer
must not move the cursor, recolour, retitle or reorder what a person reads."""

_HIDING = ("html_block", "html_inline", "image", "reference")
_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_PARSER.disable(list(_HIDING))
_BLOCKS = MarkdownIt("commonmark").enable(["table"]).disable([*_HIDING, "inline"])


def clean(text: str) -> str:
    """`text` without control characters. What is true of the parts is true of the whole."""
    return _CONTROLS.sub("", text)


def finished(text: str) -> int:
    """How many characters at the start of a growing answer no further text can change the look of.

    They end where the last block (paragraph, list, fence …) of the complete lines begins.
    """
    *lines, _ = text.split("\n")
    starts = [
        token.map[0]
        for token in _BLOCKS.parse("\n".join(lines))
        if token.map and token.level == 0 and token.nesting >= 0
    ]
    return sum(len(line) + 1 for line in lines[: starts[-1]]) if starts else 0


def words_of(error: KeepthreadError) -> str:
    """What a person at a terminal reads of an error: they also run the bot, so the cure is for them."""
    return clean("\n".join(part for part in (error.user_text, error.detail, error.cure) if part))


class _LeftHeading(Heading):
    LEVEL_ALIGN = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class Answer(Markdown):
    """Markdown for a terminal: links with their targets, lines as they were broken."""

    elements: ClassVar = {**Markdown.elements, "heading_open": _LeftHeading}

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False, code_theme="ansi_dark")
        self.markup = text
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            for part in token.children or ():
                if part.type == "softbreak":
                    part.type = "hardbreak"


class Tail:
    """The last lines of something, as many as the screen has room for.

    What grows in place must fit: a terminal cannot redraw what has scrolled away.
    """

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, console.height - 2)
        free = options.update(height=None)
        for line in console.render_lines(self._whole, free, pad=False)[-room:]:
            yield from line
            yield Segment.line()
