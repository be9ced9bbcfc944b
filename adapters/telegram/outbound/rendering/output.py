"""Output of the renderer: a growing text, and entities over ranges of it."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.telegram.outbound.formatted import Entity, Formatted
from bot.text import utf16_length


class Output:
    """Text that grows at its end. Positions are UTF-16 units.

    Attributes:
        units: length of the text.
        newlines: how many line feeds stand at its end.
    """

    def __init__(self) -> None:
        self.units = 0
        self.newlines = 0
        self._parts: list[str] = []
        self._entities: list[Entity] = []

    def write(self, text: str) -> None:
        if not text:
            return
        self._parts.append(text)
        self.units += utf16_length(text)
        at_end = len(text) - len(text.rstrip("\n"))
        self.newlines = self.newlines + at_end if at_end == len(text) else at_end

    def mark(
        self, type_: str, start: int, *, url: str | None = None, language: str | None = None
    ) -> None:
        """Add an entity over all text from `start` on, without the line feeds at its end."""
        length = self.units - self.newlines - start
        if length > 0:
            self._entities.append(Entity(type_, start, length, url, language))

    @property
    def parts(self) -> int:
        """Position for `text_since`."""
        return len(self._parts)

    def text_since(self, parts: int, limit: int) -> str | None:
        """The text after a position; None if it has more than `limit` parts."""
        found = self._parts[parts : parts + limit + 1]
        return "".join(found) if len(found) <= limit else None

    def formatted(self) -> Formatted:
        in_order = sorted(self._entities, key=lambda entity: (entity.offset, -entity.length))
        return Formatted("".join(self._parts), tuple(_without_nested(in_order)))


def _without_nested(entities: list[Entity]) -> Iterator[Entity]:
    """`entities` without those within one of their kind: they change nothing, and Telegram nests no quotes."""
    ends: dict[str, int] = {}
    for entity in entities:
        if entity.end > ends.get(entity.type, 0):
            ends[entity.type] = entity.end
            yield entity
