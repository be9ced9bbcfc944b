"""Cutting Markdown into messages, the same way while it grows as when it is whole.

Slack takes 12,000 characters of Markdown a message (https://docs.slack.dev/reference/block-kit/blocks/markdown-block).
Every cut is decided by what stands before it, never by what comes after: so a message that was shown
while the answer grew is the message that stands there in the end, and nothing shown has to be taken back.

    7,500           9,000          10,000         10,400     10,600
    before a fence  at a blank     at any line    at any     anywhere
    or a table      line                          space
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

BLOCK_BREAK = 7_500
PARAGRAPH_BREAK = 9_000
LINE_BREAK = 10_000
WORD_BREAK = 10_400
ANY_BREAK = 10_600
MAX_UNITS = 11_000
"""No message is longer, in UTF-16 units, so that whichever way Slack counts it is within 12,000."""

_MAX_FENCE_LINE = 160
_MAX_TABLE_HEAD = 1_000
_MAX_SYMBOL_UNITS = 24

_FENCE = re.compile(r"(?P<before>[ \t]*(?:>[ \t]*)*)(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)\n?")
_DELIMITERS = re.compile(r"\|?[ \t]*:?-+:?(?:[ \t]*\|[ \t]*:?-+:?)*[ \t]*\|?")


@dataclass(frozen=True, slots=True)
class MessagePart:
    """One message.

    Attributes:
        lead: what is said again because the cut before went through a block: the line that opened
            the fence, or the head of the table.
        body: a part of the text; all bodies together are the text.
        tail: what closes a fence that goes on in the next message.
    """

    lead: str
    body: str
    tail: str = ""

    @property
    def text(self) -> str:
        return self.lead + self.body + self.tail

    @property
    def is_visible(self) -> bool:
        """Slack takes no message without."""
        return bool(self.body.strip())


@dataclass(frozen=True, slots=True)
class _Block:
    """A fence or a table that is open. `fence`: its marks, or "" for a table."""

    lead: str
    before: str = ""
    fence: str = ""

    def closing(self, body: str) -> str:
        if not self.fence:
            return ""
        return ("" if body.endswith("\n") else "\n") + self.before + self.fence


def units(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(text: str, *, growing: bool = False) -> list[MessagePart]:
    """The messages that hold `text`, in order.

    Args:
        growing: more may come. What might yet belong to the next message is held back, so that the
            bodies together are a beginning of `text`.
    """
    pieces: list[MessagePart] = []
    start, block = 0, None
    while start < len(text):
        splitter = _Splitter(text, start, block, growing)
        splitter.run()
        lead = block.lead if block else ""
        body = text[start : splitter.end]
        if not splitter.is_cut:
            if body:
                pieces.append(MessagePart(lead, body))
            break
        block = splitter.block
        pieces.append(MessagePart(lead, body, block.closing(body) if block else ""))
        start = splitter.end
    return pieces


def split_visible(text: str, *, growing: bool = False) -> list[MessagePart]:
    """`split`, without messages that have no words."""
    return [piece for piece in split(text, growing=growing) if piece.is_visible]


def closed(text: str) -> str:
    """`text`, its last code fence closed, so that something else may follow."""
    splitter = _Splitter(text, 0, None, growing=False, endless=True)
    splitter.run()
    return text + (splitter.block.closing(text) if splitter.block else "")


class _Splitter:
    """Goes through lines from `start` to where the message ends."""

    def __init__(
        self, text: str, start: int, block: _Block | None, growing: bool, *, endless: bool = False
    ) -> None:
        self.text = text
        self.start = start
        self.end = start
        self.block = block
        self.is_cut = False
        self._streaming = growing
        self._endless = endless
        self._used = units(block.lead) if block else 0
        self._before = ""

    def run(self) -> None:
        for line in _lines(self.text, self.start):
            if self._is_cut_before(line):
                self.is_cut = True
                return
            if self._streaming and self._may_open_block(line):
                return
            inside = None if self._endless else self._cut_inside(line)
            if inside is not None:
                self.end += inside
                self.is_cut = True
                if self.block and not self.block.fence:
                    self.block = None  # half a row: what follows is no table any more
                return
            self.end += len(line)
            self._used += units(line)
            self._gap_note(line)

    def _is_cut_before(self, line: str) -> bool:
        if self._endless or self.end == self.start or not line.strip():
            return False
        if self._used >= LINE_BREAK:
            return True
        if self.block is not None:
            return False
        if self._used >= PARAGRAPH_BREAK and not self._before.strip():
            return True
        return self._used >= BLOCK_BREAK and _begins_block(line, self._before)

    def _may_open_block(self, line: str) -> bool:
        """An unfinished line that may yet open a block, before which the message would end."""
        if line.endswith("\n") or self._used < BLOCK_BREAK or len(line) > _MAX_FENCE_LINE:
            return False
        begin = line.lstrip()
        return len(begin) < 4 or begin[0] in "`~|>"

    def _cut_inside(self, line: str) -> int | None:
        """How many characters of `line` still belong to this message; None: all."""
        if self._used + units(line) <= WORD_BREAK:
            return None
        used, is_space = self._used, False
        for number, char in enumerate(line):
            # An empty message would never end.
            if number or self.end > self.start:
                if used >= WORD_BREAK and is_space and not char.isspace():
                    return number
                if used >= ANY_BREAK and (
                    used >= ANY_BREAK + _MAX_SYMBOL_UNITS or _is_symbol_boundary(line, number)
                ):
                    return number
            is_space = char.isspace()
            used += 2 if char > "\uffff" else 1
        return None

    def _gap_note(self, line: str) -> None:
        """What is open after `line`."""
        block, before = self.block, self._before
        self._before = line
        if block is not None and block.fence:
            if _closes(line, block.fence):
                self.block = None
        elif opened := _opened(line):
            self.block = opened
        elif block is not None:
            if "|" not in line:
                self.block = None
        elif "|" in before and "|" in line and _DELIMITERS.fullmatch(line.strip()):
            head = before + line
            self.block = _Block(head if units(head) <= _MAX_TABLE_HEAD else "")


def _lines(text: str, start: int) -> Iterator[str]:
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _opened(line: str) -> _Block | None:
    """The fence that `line` opens (https://spec.commonmark.org/0.31.2/#fenced-code-blocks), at any indentation."""
    found = _FENCE.fullmatch(line)
    if found is None or len(line) > _MAX_FENCE_LINE or not line.isascii():
        return None
    if "`" in found["info"] and found["fence"][0] == "`":
        return None
    return _Block(line, found["before"], found["fence"])


def _closes(line: str, fence: str) -> bool:
    marks = line.lstrip(" \t>").rstrip()
    return len(marks) >= len(fence) and not marks.strip(fence[0])


def _begins_block(line: str, before: str) -> bool:
    is_row = line.lstrip().startswith("|")
    return _opened(line) is not None or (is_row and "|" not in before)


def _is_symbol_boundary(line: str, at: int) -> bool:
    """Whether no emoji or accented letter goes over `at`."""
    char, before = line[at], line[at - 1] if at else ""
    joins = char in "\u200d\ufe0e\ufe0f\u20e3" or "\u0300" <= char <= "\u036f"
    colours = "\U0001f3fb" <= char <= "\U0001f3ff"
    flags = "\U0001f1e6" <= char <= "\U0001f1ff" and "\U0001f1e6" <= before <= "\U0001f1ff"
    return not (joins or colours or flags or before == "\u200d")
