"""What a model writes, as Telegram shows it: text and entities rather than a markup that may not parse.

telegramify-markdown does the work; before it, what it would drop or misread is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from bot.conversation import clean_text

_LINK = re.compile(r"(https?|tg|ftp|tonsite)://[^\s/]\S*$|mailto:\S+@\S+$")
_ROUNDS = 8
"""Escaping one tag may make another one visible to the parser."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A range of a text that looks different. Offset and length in UTF-16 units."""

    type: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Formatted:
    """A text and how it looks."""

    text: str
    entities: tuple[Entity, ...] = ()


def render(markdown: str) -> Formatted:
    """`markdown` for Telegram. Every word of it is kept, whatever it is; only marks become looks."""
    from telegramify_markdown import convert

    text, entities = convert(_escaped(clean_text(markdown)), config=_config())
    kept = (
        Entity(one.type, one.offset, one.length, one.url, one.language or None)
        for one in entities
        if one.length > 0 and _is_wanted(one.type, one.url or "")
    )
    return Formatted(text, tuple(sorted(kept, key=lambda one: (one.offset, -one.length))))


def _is_wanted(kind: str, url: str) -> bool:
    """Headings are bold enough without a line under them, and Telegram refuses relative addresses."""
    return kind != "underline" and (kind != "text_link" or _LINK.match(url) is not None)


@cache
def _config() -> Any:
    from telegramify_markdown.config import RenderConfig

    config = RenderConfig.isolated()
    symbols = config.markdown_symbol
    symbols.heading_level_1 = symbols.heading_level_2 = ""
    symbols.heading_level_3 = symbols.heading_level_4 = ""
    symbols.unordered_list_item = "•"
    symbols.task_completed, symbols.task_uncompleted = "☑", "☐"
    symbols.image = "🖼 "
    config.cite_expandable = False
    return config


def _escaped(markdown: str) -> str:
    """`markdown` so that HTML, footnotes and double bars outside of code survive."""
    for _ in range(_ROUNDS):
        edits = sorted(_edits(markdown.encode()), reverse=True)
        if not edits:
            break
        data = markdown.encode()
        for start, end, new in edits:
            data = data[:start] + new + data[end:]
        markdown = data.decode()
    return markdown


def _edits(source: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Byte ranges of `source` that must be written differently."""
    html, code, tables = _ranges(source)
    for start, end in html:
        for found in re.finditer(rb"<", source[start:end]):
            at = start + found.start()
            if not _within(at, code):
                yield at, at + 1, b"\\<"
    if b"||" in source:  # telegramify takes ||…|| for a spoiler, also across the cells of a table
        for found in re.finditer(rb"(?<!\\)\|(?=\|)", source):
            if _within(found.start(), tables):
                yield found.start(), found.end(), b"| "
            elif not _within(found.start(), code):
                yield found.start(), found.end(), b"\\|"
    for found in re.finditer(rb"(?m)^ {0,3}(\[)\^[^\]\n]+\]:", source):
        if not _within(
            found.start(1), code
        ):  # else the parser takes a footnote for a link's address
            yield found.start(1), found.end(1), b"\\["


def _ranges(source: bytes) -> tuple[list[tuple[int, int]], ...]:
    """Where the parser sees HTML, code and tables, in bytes."""
    import pyromark
    from telegramify_markdown.converter import STANDARD_OPTIONS

    html, code, tables = [], [], []
    for event, place in pyromark.events_with_range(source.decode(), options=STANDARD_OPTIONS):
        if not isinstance(event, dict):
            continue
        at = (place["start"], place["end"])
        start: Any = event.get("Start")
        if "InlineHtml" in event or "Html" in event:
            html.append(at)
        elif "Code" in event or (isinstance(start, dict) and "CodeBlock" in start):
            code.append(at)
        elif isinstance(start, dict) and "Table" in start:
            tables.append(at)
    return html, code, tables


def _within(at: int, ranges: list[tuple[int, int]]) -> bool:
    return any(start <= at < end for start, end in ranges)
