"""Renderer of answers for a terminal. Pure.

No word is lost: what Markdown would hide (HTML, the targets of links and pictures, single line breaks)
is shown as it was written.
"""

from __future__ import annotations

from typing import ClassVar

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown
from rich.segment import Segment
from rich.syntax import Syntax
from rich.theme import Theme

from bot.errors import KeepthreadError
from bot.text import strip_controls

_HIDING = ("html_block", "html_inline", "image", "reference")
_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_PARSER.disable(list(_HIDING))
_BLOCKS = MarkdownIt("commonmark").enable(["table"]).disable([*_HIDING, "inline"])

THEME = Theme({"markdown.code": "bold cyan", "markdown.code_block": "cyan"})
"""Styles without backgrounds: a terminal may be dark or light."""


def finished_length(text: str) -> int:
    """Length of the start of a growing answer whose rendering no further text can change.

    It ends where the last block (paragraph, list, fence …) of the complete lines begins.
    """
    *lines, _ = text.split("\n")
    starts = [
        token.map[0]
        for token in _BLOCKS.parse("\n".join(lines))
        if token.map and token.level == 0 and token.nesting >= 0
    ]
    return sum(len(line) + 1 for line in lines[: starts[-1]]) if starts else 0


def error_text(error: KeepthreadError) -> str:
    """Text of an error, with detail and cure: a person at a terminal also runs the bot."""
    parts = dict.fromkeys((error.user_text, error.detail, error.cure))
    return strip_controls("\n".join(part for part in parts if part))


class _LeftHeading(Heading):
    LEVEL_ALIGN = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _PlainCode(CodeBlock):
    """Code block without indentation, ready to be copied."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(str(self.text).rstrip(), self.lexer_name, theme=self.theme, word_wrap=True)


class AnswerMarkdown(Markdown):
    """Markdown for a terminal: links show their targets, line breaks stay."""

    elements: ClassVar = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _PlainCode,
        "code_block": _PlainCode,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False, code_theme="ansi_dark")
        self.markup = text
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            for part in token.children or ():
                if part.type == "softbreak":
                    part.type = "hardbreak"


class TrimmedLines:
    """Renderable without blank lines around it, and without blanks at the ends of its lines.

    With `fits_screen`, only as many of its last lines as fit the screen: a terminal cannot redraw lines
    that have scrolled away.
    """

    def __init__(self, renderable: RenderableType, *, fits_screen: bool = False) -> None:
        self._renderable = renderable
        self._fits_screen = fits_screen

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rendered = console.render_lines(self._renderable, options.update(height=None), pad=False)
        lines = [_trimmed(line) for line in rendered]
        while lines and not lines[0]:
            del lines[0]
        while lines and not lines[-1]:
            del lines[-1]
        for line in lines[-max(1, console.height - 3) :] if self._fits_screen else lines:
            yield from line
            yield Segment.line()


def _trimmed(line: list[Segment]) -> list[Segment]:
    while line and not line[-1].text.strip():
        line = line[:-1]
    return [*line[:-1], line[-1]._replace(text=line[-1].text.rstrip())] if line else []
