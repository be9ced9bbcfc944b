"""What a model writes, as Telegram shows it: text and entities rather than a markup that may not parse.

telegramify-markdown does the work; before it, what it would drop or misread is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from adapters.telegram.outbound.markdown_escape import escaped
from bot.text import clean_text

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})(.*)")
"""A line that may open or close a code block (https://spec.commonmark.org/0.31.2/#fenced-code-blocks)."""

_LINK = re.compile(r"(https?|tg|ftp|tonsite)://[^\s/]\S*$|mailto:\S+@\S+$")


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

    # Its own look for LaTeX goes through code, too; `escaped` finds what is outside.
    text, entities = convert(escaped(clean_text(markdown)), latex_escape=False, config=_config())
    kept = (
        Entity(one.type, one.offset, one.length, one.url, one.language or None)
        for one in entities
        if one.length > 0 and _is_wanted(one.type, one.url or "")
    )
    return Formatted(text, tuple(_flat(sorted(kept, key=lambda one: (one.offset, -one.length)))))


def closed(markdown: str) -> str:
    """`markdown`, its last code block closed, so that something else may follow."""
    indent, fence = "", ""
    for line in markdown.splitlines():
        found = _FENCE.fullmatch(line)
        if found is None:
            continue
        if not fence and not (found[2][0] == "`" and "`" in found[3]):
            indent, fence = found[1], found[2]
        elif fence and found[2].startswith(fence) and not found[3].strip():
            fence = ""
    if not fence:
        return markdown
    return markdown + ("" if markdown.endswith("\n") else "\n") + indent + fence


def _flat(entities: list[Entity]) -> Iterator[Entity]:
    """`entities` without those within one of their kind: they change no looks, and Telegram nests no quotes."""
    ends: dict[str, int] = {}
    for one in entities:
        if one.end > ends.get(one.type, 0):
            ends[one.type] = one.end
            yield one


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
