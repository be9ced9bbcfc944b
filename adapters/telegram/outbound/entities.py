"""Rendering of a model's Markdown as text and entities, which Telegram cannot fail to parse.

telegramify-markdown does the work; what it would drop or misread is escaped before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from adapters.telegram.outbound.markdown_escape import escape_markdown
from bot.text import clean_text

_LINK = re.compile(r"(https?|tg|ftp|tonsite)://[^\s/]\S*$|mailto:\S+@\S+$")


@dataclass(frozen=True, slots=True)
class Entity:
    """Formatting of a range of a text. Offset and length in UTF-16 units."""

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
    """Text with entities."""

    text: str
    entities: tuple[Entity, ...] = ()


def render(markdown: str) -> Formatted:
    """`markdown` for Telegram. Every word of it is kept; only the marks become entities."""
    from telegramify_markdown import convert

    # Its own rendering of LaTeX changes code, too; `escape_markdown` finds formulas outside of code.
    text, entities = convert(
        escape_markdown(clean_text(markdown)), latex_escape=False, config=_config()
    )
    kept = (
        Entity(entity.type, entity.offset, entity.length, entity.url, entity.language or None)
        for entity in entities
        if entity.length > 0 and _is_wanted(entity.type, entity.url or "")
    )
    in_order = sorted(kept, key=lambda entity: (entity.offset, -entity.length))
    return Formatted(text, tuple(_without_nested(in_order)))


def _without_nested(entities: list[Entity]) -> Iterator[Entity]:
    """`entities` without those within one of their kind: they change nothing, and Telegram nests no quotes."""
    ends: dict[str, int] = {}
    for entity in entities:
        if entity.end > ends.get(entity.type, 0):
            ends[entity.type] = entity.end
            yield entity


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
