"""Splitting of a formatted text into messages: nothing is lost or doubled, code blocks are opened again.

Limits: https://core.telegram.org/bots/api#sendmessage (4,096 UTF-16 units) and
https://core.telegram.org/bots/api#messageentity (100 entities a message; the rest is dropped silently).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from itertools import accumulate

from adapters.telegram.outbound.formatted import Entity, Formatted
from bot.text import symbol_start

MESSAGE_UNITS = 4096
CAPTION_UNITS = 1024
MESSAGE_ENTITIES = 100


def split(
    whole: Formatted, *, limit: int = MESSAGE_UNITS, max_entities: int = MESSAGE_ENTITIES
) -> list[Formatted]:
    """The messages that hold `whole`, in order; none if it is blank.

    Cuts fall between paragraphs, lines or words, in this order, and never within a symbol. A code block
    is kept whole if it fits into one message; else each part is a block of the same language.
    """
    splitter = _Splitter(whole, limit, max_entities)
    pieces = []
    start = 0
    while start < len(whole.text):
        end = splitter.cut(start)
        piece = splitter.piece(start, end)
        if piece.text:
            pieces.append(piece)
        start = end
    return pieces


class _Splitter:
    """Cuts one text, from its begin to its end. Positions count Python's characters; `at` gives their UTF-16 offset.

    Attributes:
        entities: in the order of their offsets. Few overlap, because none lies within another of its type.
        blocks: ranges of the code blocks, in order.
    """

    def __init__(self, whole: Formatted, limit: int, max_entities: int) -> None:
        self.text = whole.text
        self.entities = sorted(whole.entities, key=lambda entity: (entity.offset, -entity.length))
        self.limit = limit
        self.max_entities = max_entities
        self.at = [0, *accumulate(2 if char > "\uffff" else 1 for char in self.text)]
        self.blocks = [
            (bisect_right(self.at, entity.offset) - 1, bisect_right(self.at, entity.end) - 1)
            for entity in self.entities
            if entity.type == "pre"
        ]
        self._block_starts = [start for start, _ in self.blocks]
        self._open: list[Entity] = []
        self._next = 0

    def cut(self, start: int) -> int:
        """Where the message that begins at `start` ends."""
        self._pass_entities(self.at[start])
        furthest = bisect_right(self.at, self.at[start] + self.limit) - 1
        furthest = max(start + 1, min(furthest, self._room_for_entities(start)))
        if furthest >= len(self.text):
            return len(self.text)
        earliest = start + (furthest - start) // 2
        block = self._block_over(furthest)
        if block is not None:
            fits = self.at[block[1]] - self.at[block[0]] <= self.limit
            if fits and not _is_blank(self.text, start, block[0]):
                return block[0]
            earliest = max(earliest, block[0] + 1) if block[0] < furthest - 1 else earliest
            return self._line(earliest, furthest) or self._before_symbol(start, furthest)
        for mark in ("\n\n", "\n", " "):
            found = self.text.rfind(mark, earliest, furthest)
            end = found + len(mark)
            if (
                found > start
                and self._block_over(end) is None
                and symbol_start(self.text, end) == end
            ):
                return end
        return self._before_symbol(start, furthest)

    def piece(self, start: int, end: int) -> Formatted:
        """The message between two positions, without the white space that Telegram would cut off."""
        while end > start and self.text[end - 1].isspace():
            end -= 1
        while start < end and self.text[start] == "\n":
            start += 1
        if self._block_over(start + 1) is None:
            while start < end and self.text[start].isspace():
                start += 1
        first, last = self.at[start], self.at[end]
        inside = [
            replace(entity, offset=begin - first, length=stop - begin)
            for entity in self._entities_before(last)
            if (stop := min(entity.end, last)) > (begin := max(entity.offset, first))
        ]
        return Formatted(self.text[start:end], tuple(inside[: self.max_entities]))

    def _pass_entities(self, begin: int) -> None:
        """Forget the entities that end before `begin`."""
        while self._next < len(self.entities) and self.entities[self._next].offset < begin:
            self._open.append(self.entities[self._next])
            self._next += 1
        self._open = [entity for entity in self._open if entity.end > begin]

    def _entities_before(self, end: int) -> list[Entity]:
        """Entities of the current message, which ends at `end`."""
        last = bisect_left(self.entities, end, lo=self._next, key=lambda entity: entity.offset)
        return self._open + self.entities[self._next : last]

    def _room_for_entities(self, start: int) -> int:
        """Before which position a message from `start` has to end because of its entities."""
        late = self._next + self.max_entities - len(self._open)
        if late >= len(self.entities):
            return len(self.text)
        offset = self.entities[max(late, self._next)].offset
        return bisect_right(self.at, offset) - 1 if offset > self.at[start] else len(self.text)

    def _block_over(self, position: int) -> tuple[int, int] | None:
        """The code block that a cut at `position` would go through."""
        number = bisect_left(self._block_starts, position) - 1
        if number < 0:
            return None
        block = self.blocks[number]
        return block if position < block[1] else None

    def _line(self, earliest: int, furthest: int) -> int:
        """After the last line, best before one that is not indented: Telegram trims messages. 0: none."""
        best = 0
        at = self.text.rfind("\n", earliest, furthest)
        while at >= 0:
            best = best or at + 1
            if not self.text[at + 1 : at + 2].isspace():
                return at + 1
            at = self.text.rfind("\n", earliest, at)
        return best

    def _before_symbol(self, start: int, position: int) -> int:
        """`position`, or before it, so that no symbol is cut. One that fills a message is cut."""
        whole = symbol_start(self.text, position)
        return whole if whole > start else position


def _is_blank(text: str, start: int, end: int) -> bool:
    return not text[start:end].strip()
