"""Splitting of a formatted text into messages: nothing is lost or doubled, code blocks are opened again.

Limits: https://core.telegram.org/bots/api#sendmessage (4,096 UTF-16 units) and
https://core.telegram.org/bots/api#messageentity (100 entities a message; the rest is dropped silently).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate

from adapters.telegram.outbound.entities import Formatted
from bot.text import is_inside_symbol

MESSAGE_UNITS = 4096
CAPTION_UNITS = 1024
MESSAGE_ENTITIES = 100

MAX_SYMBOL_CHARS = 16
"""Longest emoji that is kept whole."""


def split(
    whole: Formatted, *, limit: int = MESSAGE_UNITS, max_entities: int = MESSAGE_ENTITIES
) -> list[Formatted]:
    """The messages that hold `whole`, in order; none if it is blank.

    Cuts fall between paragraphs, lines or words, in this order. A code block is kept whole if it
    fits into one message; else each part is a block of the same language.
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
    """Cuts one text. Positions count Python's characters; `at` gives their UTF-16 offset."""

    def __init__(self, whole: Formatted, limit: int, max_entities: int) -> None:
        self.text = whole.text
        self.entities = whole.entities
        self.limit = limit
        self.max_entities = max_entities
        self.at = [0, *accumulate(2 if char > "\uffff" else 1 for char in self.text)]
        self.blocks = [
            (bisect_right(self.at, entity.offset) - 1, bisect_right(self.at, entity.end) - 1)
            for entity in self.entities
            if entity.type == "pre"
        ]

    def cut(self, start: int) -> int:
        """Where the message that begins at `start` ends."""
        furthest = bisect_right(self.at, self.at[start] + self.limit) - 1
        furthest = max(start + 1, min(furthest, self._room_for_entities(start)))
        if furthest >= len(self.text):
            return len(self.text)
        earliest = start + (furthest - start) // 2
        block = self._block_over(furthest)
        if block is not None:
            fits = self.at[block[1]] - self.at[block[0]] <= self.limit
            if fits and self.text[start : block[0]].strip():
                return block[0]
            earliest = max(earliest, block[0] + 1) if block[0] < furthest - 1 else earliest
            return self._line(earliest, furthest) or self._before_symbol(start, furthest)
        for mark in ("\n\n", "\n", " "):
            found = self.text.rfind(mark, earliest, furthest)
            if found > start and self._block_over(found + len(mark)) is None:
                return found + len(mark)
        return self._before_symbol(start, furthest)

    def piece(self, start: int, end: int) -> Formatted:
        """The message between two positions, without the white space that Telegram would cut off."""
        while end > start and self.text[end - 1].isspace():
            end -= 1
        while start < end and (self.text[start] == "\n" or not self.text[start:end].strip()):
            start += 1
        lead = self.text[start:end]
        if lead[:1].isspace() and self._block_over(start + 1) is None:
            start += len(lead) - len(lead.lstrip())
        first, last = self.at[start], self.at[end]
        inside = [
            replace(entity, offset=begin - first, length=stop - begin)
            for entity in self.entities
            if (stop := min(entity.end, last)) > (begin := max(entity.offset, first))
        ]
        return Formatted(self.text[start:end], tuple(inside[: self.max_entities]))

    def _room_for_entities(self, start: int) -> int:
        """Before which position a message from `start` has to end because of its entities."""
        begin = self.at[start]
        over = [entity for entity in self.entities if entity.end > begin]
        if len(over) <= self.max_entities:
            return len(self.text)
        late = over[self.max_entities].offset
        return bisect_right(self.at, late) - 1 if late > begin else len(self.text)

    def _block_over(self, position: int) -> tuple[int, int] | None:
        """The code block that a cut at `position` would go through."""
        return next((block for block in self.blocks if block[0] < position < block[1]), None)

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
        """`position`, or a little before, so that no emoji is cut."""
        for cut in range(position, max(start, position - MAX_SYMBOL_CHARS), -1):
            if not is_inside_symbol(self.text, cut):
                return cut
        return position
