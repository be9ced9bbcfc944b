"""Markdown code fences: which line opens one, which closes it, and how an open one is closed.

Rules: https://spec.commonmark.org/0.31.2/#fenced-code-blocks, but at any indentation, as models write them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_FENCE = re.compile(r"(?P<before>[ \t]*(?:>[ \t]*)*)(?P<marks>`{3,}|~{3,})(?P<info>[^\n]*)\n?")


@dataclass(frozen=True, slots=True)
class Fence:
    """Line that opens a code block.

    Attributes:
        line: the whole line; it opens the same block again.
        before: indentation and quote marks before the fence.
        marks: the backticks or tildes.
    """

    line: str
    before: str
    marks: str

    @classmethod
    def opened_by(cls, line: str) -> Self | None:
        """The fence that `line` opens; None if it opens none."""
        found = _FENCE.fullmatch(line)
        if found is None or ("`" in found["info"] and found["marks"][0] == "`"):
            return None
        return cls(line, found["before"], found["marks"])

    def is_closed_by(self, line: str) -> bool:
        marks = line.lstrip(" \t>").rstrip()
        return len(marks) >= len(self.marks) and not marks.strip(self.marks[0])

    def closing(self, text: str) -> str:
        """The text to append to `text`, in which this fence is open, so that the block ends."""
        return ("" if text.endswith("\n") else "\n") + self.before + self.marks


def open_fence(markdown: str) -> Fence | None:
    """The fence that is still open at the end of `markdown`, or None."""
    fence: Fence | None = None
    for line in markdown.split("\n"):
        if "```" not in line and "~~~" not in line:
            continue
        if fence is None:
            fence = Fence.opened_by(line)
        elif fence.is_closed_by(line):
            fence = None
    return fence


def close_fence(markdown: str) -> str:
    """`markdown`, its last code block closed, so that other text may follow."""
    fence = open_fence(markdown)
    return markdown + fence.closing(markdown) if fence else markdown
