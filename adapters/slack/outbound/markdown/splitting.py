"""Splitting of Markdown into messages: the same while it grows as when it is whole.

Slack takes 12,000 characters of Markdown a message (https://docs.slack.dev/reference/block-kit/blocks/markdown-block).
Each cut depends on the text before it only, never on the text after it: so a message that was shown while
the answer grew stays as it is, and nothing shown has to be deleted.

    7,500           9,000          10,000         10,400     10,600
    before a fence  at a blank     at any line    at any     anywhere
    or a table      line                          space
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.shared.markdown_fences import Fence
from bot.text import is_inside_symbol, utf16_length

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

_DELIMITERS = re.compile(r"\|?[ \t]*:?-+:?(?:[ \t]*\|[ \t]*:?-+:?)*[ \t]*\|?")


@dataclass(frozen=True, slots=True)
class MessagePart:
    """Text of one message.

    Attributes:
        lead: repeated because the cut before went through a block: the line that opened the fence, or the
            head of the table.
        body: a part of the text; all bodies together are the text.
        tail: closes a fence that goes on in the next message.
    """

    lead: str
    body: str
    tail: str = ""

    @property
    def text(self) -> str:
        return self.lead + self.body + self.tail

    @property
    def is_visible(self) -> bool:
        """Whether it holds more than white space; Slack refuses a message that does not."""
        return bool(self.body.strip())


@dataclass(frozen=True, slots=True)
class _Table:
    """A table that is open. `lead`: its head, or "" if that is too long to be repeated."""

    lead: str

    def closing(self, text: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class _CodeBlock:
    """A fence that is open."""

    fence: Fence

    @property
    def lead(self) -> str:
        return self.fence.line

    def closing(self, text: str) -> str:
        return self.fence.closing(text)


def split(text: str, *, growing: bool = False) -> list[MessagePart]:
    """The messages that hold `text`, in order.

    Args:
        growing: more may follow. Text that might yet belong to the next message is held back, so that the
            bodies together are a beginning of `text`.
    """
    parts: list[MessagePart] = []
    start, block = 0, None
    while start < len(text):
        splitter = _Splitter(text, start, block, growing)
        splitter.run()
        lead = block.lead if block else ""
        body = text[start : splitter.end]
        if not splitter.is_cut:
            if body:
                parts.append(MessagePart(lead, body))
            break
        block = splitter.block
        parts.append(MessagePart(lead, body, block.closing(body) if block else ""))
        start = splitter.end
    return parts


def split_visible(text: str, *, growing: bool = False) -> list[MessagePart]:
    """`split`, without messages of white space."""
    return [part for part in split(text, growing=growing) if part.is_visible]


class _Splitter:
    """Goes through lines from `start` to the end of the message."""

    def __init__(
        self, text: str, start: int, block: _Table | _CodeBlock | None, growing: bool
    ) -> None:
        self.text = text
        self.start = start
        self.end = start
        self.block = block
        self.is_cut = False
        self._growing = growing
        self._used = utf16_length(block.lead) if block else 0
        self._before = ""

    def run(self) -> None:
        for line in _lines(self.text, self.start):
            if self._is_cut_before(line):
                self.is_cut = True
                return
            if self._growing and self._may_open_block(line):
                return
            inside = self._cut_inside(line)
            if inside is not None:
                self.end += inside
                self.is_cut = True
                if isinstance(self.block, _Table):
                    self.block = None  # half a row: the rest of it is no table any more
                return
            self.end += len(line)
            self._used += utf16_length(line)
            self._update_block(line)

    def _is_cut_before(self, line: str) -> bool:
        if self.end == self.start or not line.strip():
            return False
        if self._used >= LINE_BREAK:
            return True
        if self.block is not None:
            return False
        if self._used >= PARAGRAPH_BREAK and not self._before.strip():
            return True
        return self._used >= BLOCK_BREAK and _begins_block(line, self._before)

    def _may_open_block(self, line: str) -> bool:
        """Whether `line` is unfinished and may yet open a block, before which the message would end."""
        if line.endswith("\n") or self._used < BLOCK_BREAK or len(line) > _MAX_FENCE_LINE:
            return False
        begin = line.lstrip()
        return len(begin) < 4 or begin[0] in "`~|>"

    def _cut_inside(self, line: str) -> int | None:
        """How many characters of `line` still belong to this message; None: all."""
        if self._used + utf16_length(line) <= WORD_BREAK:
            return None
        used, is_space = self._used, False
        for number, char in enumerate(line):
            # Never before the first character of a message: an empty one would be followed by the same.
            if number or self.end > self.start:
                if used >= WORD_BREAK and is_space and not char.isspace():
                    return number
                is_forced = used >= ANY_BREAK + _MAX_SYMBOL_UNITS
                if used >= ANY_BREAK and (is_forced or not is_inside_symbol(line, number)):
                    return number
            is_space = char.isspace()
            used += 2 if char > "\uffff" else 1
        return None

    def _update_block(self, line: str) -> None:
        """Note the block that is open after `line`."""
        block, before = self.block, self._before
        self._before = line
        if isinstance(block, _CodeBlock):
            if block.fence.is_closed_by(line):
                self.block = None
        elif fence := _opened_fence(line):
            self.block = _CodeBlock(fence)
        elif block is not None:
            if "|" not in line:
                self.block = None
        elif "|" in before and "|" in line and _DELIMITERS.fullmatch(line.strip()):
            head = before + line
            self.block = _Table(head if utf16_length(head) <= _MAX_TABLE_HEAD else "")


def _lines(text: str, start: int) -> Iterator[str]:
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _opened_fence(line: str) -> Fence | None:
    """The fence that `line` opens, if it is short enough to be repeated in each message."""
    if len(line) > _MAX_FENCE_LINE or not line.isascii():
        return None
    return Fence.opened_by(line)


def _begins_block(line: str, before: str) -> bool:
    is_row = line.lstrip().startswith("|")
    return _opened_fence(line) is not None or (is_row and "|" not in before)
