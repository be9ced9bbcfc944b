"""Cutting a formatted text into messages: nothing lost, nothing doubled, code fences opened again.

Limits: https://core.telegram.org/bots/api#sendmessage (4,096 UTF-16 units) and
https://core.telegram.org/bots/api#messageentity (100 entities a message; the rest is dropped silently).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate

from adapters.telegram.outbound.entities import Entity, Formatted
from bot.text import utf16_length

MESSAGE_UNITS = 4096
CAPTION_UNITS = 1024
MESSAGE_ENTITIES = 100

_JOINERS = "\u200d\ufe0e\ufe0f\u20e3"


def split(
    whole: Formatted, *, limit: int = MESSAGE_UNITS, most_entities: int = MESSAGE_ENTITIES
) -> list[Formatted]:
    """The messages that hold `whole`, in order; none if it holds no words.

    Cuts fall between paragraphs, lines or words, in this order. A code block is kept whole if it
    fits into one message; else each part is a block of the same language.
    """
    ruler = _Ruler(whole, limit, most_entities)
    pieces = []
    start = 0
    while start < len(whole.text):
        end = ruler.cut(start)
        piece = ruler.piece(start, end)
        if piece.text:
            pieces.append(piece)
        start = end
    return pieces


class _Ruler:
    """Measures one text. Positions are those of Python's characters; `at` gives their UTF-16 offset."""

    def __init__(self, whole: Formatted, limit: int, most_entities: int) -> None:
        self.text = whole.text
        self.entities = whole.entities
        self.limit = limit
        self.most = most_entities
        self.at = [0, *accumulate(2 if char > "\uffff" else 1 for char in self.text)]
        self.blocks = [
            (bisect_right(self.at, one.offset) - 1, bisect_right(self.at, one.end) - 1)
            for one in self.entities
            if one.type == "pre"
        ]

    def cut(self, start: int) -> int:
        """Where the message that begins at `start` ends."""
        furthest = bisect_right(self.at, self.at[start] + self.limit) - 1
        furthest = max(start + 1, min(furthest, self._room_for_entities(start)))
        if furthest >= len(self.text):
            return len(self.text)
        least = start + (furthest - start) // 2
        block = self._block_over(furthest)
        if block is not None:
            fits = self.at[block[1]] - self.at[block[0]] <= self.limit
            if fits and self.text[start : block[0]].strip():
                return block[0]
            least = max(least, block[0] + 1) if block[0] < furthest - 1 else least
            return self._line(least, furthest) or self._whole_symbol(start, furthest)
        for mark in ("\n\n", "\n", " "):
            found = self.text.rfind(mark, least, furthest)
            if found > start and self._block_over(found + len(mark)) is None:
                return found + len(mark)
        return self._whole_symbol(start, furthest)

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
            replace(
                one, offset=max(one.offset, first) - first, length=stop - max(one.offset, first)
            )
            for one in self.entities
            if one.offset < last and (stop := min(one.end, last)) > max(one.offset, first)
        ]
        return Formatted(self.text[start:end], tuple(inside[: self.most]))

    def _room_for_entities(self, start: int) -> int:
        """Before which position a message from `start` has to end because of its entities."""
        begin = self.at[start]
        over = [one for one in self.entities if one.end > begin]
        if len(over) <= self.most:
            return len(self.text)
        late = over[self.most].offset
        return bisect_right(self.at, late) - 1 if late > begin else len(self.text)

    def _block_over(self, position: int) -> tuple[int, int] | None:
        """The code block that a cut at `position` would go through."""
        return next((one for one in self.blocks if one[0] < position < one[1]), None)

    def _line(self, least: int, furthest: int) -> int:
        """After the last line, best before one that is not indented: Telegram trims messages. 0: none."""
        best = 0
        at = self.text.rfind("\n", least, furthest)
        while at >= 0:
            best = best or at + 1
            if not self.text[at + 1 : at + 2].isspace():
                return at + 1
            at = self.text.rfind("\n", least, at)
        return best

    def _whole_symbol(self, start: int, position: int) -> int:
        """`position`, or a little before, so that no emoji made of several characters is cut."""
        for cut in range(position, max(start, position - 16), -1):
            before, after = self.text[cut - 1], self.text[cut : cut + 1]
            if before == "\u200d" or after in _JOINERS or "\U0001f3fb" <= after <= "\U0001f3ff":
                continue
            if _is_flag(before) and _is_flag(after) and _flags_before(self.text, cut) % 2:
                continue
            return cut
        return position


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _flags_before(text: str, position: int) -> int:
    count = 0
    while count < position and _is_flag(text[position - count - 1]):
        count += 1
    return count


def plain(text: str) -> Formatted:
    """`text` as it is."""
    return Formatted(text)


__all__ = ["Entity", "Formatted", "plain", "split", "utf16_length"]
