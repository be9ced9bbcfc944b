"""From an answer to what a terminal shows. Pure.

The rule of this module is that nothing is lost: where Markdown would hide words (HTML, the targets of
links and pictures, single line breaks), they are shown as they were written.
"""

from __future__ import annotations

import re
from typing import ClassVar

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown
from rich.segment import Segment
from rich.syntax import Syntax
from rich.theme import Theme

from bot.errors import KeepthreadError

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""C0 and C1 but tab and line feed, and the overrides of the direction of writing (UAX #9): an answer
must not move the cursor, recolour, retitle or reorder what a person reads."""

_HIDING = ("html_block", "html_inline", "image", "reference")
_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_PARSER.disable(list(_HIDING))
_BLOCKS = MarkdownIt("commonmark").enable(["table"]).disable([*_HIDING, "inline"])

THEME = Theme({"markdown.code": "bold cyan", "markdown.code_block": "cyan"})
"""No backgrounds: a terminal may be dark or light."""


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
    parts = dict.fromkeys((error.user_text, error.detail, error.cure))
    return clean("\n".join(part for part in parts if part))


class _LeftHeading(Heading):
    LEVEL_ALIGN = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _Code(CodeBlock):
    """Code as it is to be copied: not indented."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(str(self.text).rstrip(), self.lexer_name, theme=self.theme, word_wrap=True)


class Answer(Markdown):
    """Markdown for a terminal: links with their targets, lines as they were broken."""

    elements: ClassVar = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _Code,
        "code_block": _Code,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False, code_theme="ansi_dark")
        self.markup = text
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            for part in token.children or ():
                if part.type == "softbreak":
                    part.type = "hardbreak"


class Lines:
    """What `whole` looks like, without blanks around it or at the ends of its lines: nobody copies those.

    With `fitting`, only its last lines, as many as the screen has room for: what grows in place must
    fit, because a terminal cannot redraw what has scrolled away.
    """

    def __init__(self, whole: RenderableType, *, fitting: bool = False) -> None:
        self._whole = whole
        self._fitting = fitting

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rendered = console.render_lines(self._whole, options.update(height=None), pad=False)
        lines = [_trimmed(line) for line in rendered]
        while lines and not lines[0]:
            del lines[0]
        while lines and not lines[-1]:
            del lines[-1]
        for line in lines[-max(1, console.height - 3) :] if self._fitting else lines:
            yield from line
            yield Segment.line()


def _trimmed(line: list[Segment]) -> list[Segment]:
    while line and not line[-1].text.strip():
        line = line[:-1]
    return [*line[:-1], line[-1]._replace(text=line[-1].text.rstrip())] if line else []
