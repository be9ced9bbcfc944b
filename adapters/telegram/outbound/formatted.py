"""Formatted text: Telegram's text with entities (https://core.telegram.org/bots/api#messageentity)."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Text with entities, in the order of their offsets; of one type none lies within another."""

    text: str
    entities: tuple[Entity, ...] = ()
