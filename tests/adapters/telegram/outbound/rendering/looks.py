"""What a person sees of a formatted text: its formatting, and the words under it."""

from __future__ import annotations

from adapters.telegram.outbound.entities import Entity, Formatted, render
from bot.text import utf16_slice


def words(formatted: Formatted, entity: Entity) -> str:
    return utf16_slice(formatted.text, entity.offset, entity.end)


def looks(markdown: str) -> list[tuple[str, str]]:
    """(type, words) of each entity of the rendered text."""
    formatted = render(markdown)
    return [(entity.type, words(formatted, entity)) for entity in formatted.entities]


def linked(markdown: str) -> list[tuple[str, str]]:
    """(words, address) of each link of the rendered text."""
    formatted = render(markdown)
    return [
        (words(formatted, entity), entity.url or "")
        for entity in formatted.entities
        if entity.type == "text_link"
    ]
