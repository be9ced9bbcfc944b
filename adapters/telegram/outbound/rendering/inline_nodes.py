"""Nodes of a line of text: words, code, formulas, links, and runs of emphasis marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Words:
    """Text as it is shown."""

    text: str


@dataclass(frozen=True, slots=True)
class CodeSpan:
    text: str


@dataclass(frozen=True, slots=True)
class FormulaNode:
    """Formula, by its number."""

    number: int


@dataclass(frozen=True, slots=True)
class Break:
    """End of a line within a paragraph."""


@dataclass(frozen=True, slots=True)
class LinkStart:
    """Begin of a link's label, or of an image's description."""

    url: str
    is_image: bool = False


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """End of the innermost link."""


@dataclass(slots=True)
class Run:
    """Run of equal emphasis marks.

    Attributes:
        within_word: letters or digits on both sides.
        beside_digit: within a word, and beside a digit.
        is_both: between words on both sides, so that it may open as well as close by CommonMark.
        left: marks that are neither used to open nor to close; they are shown.
        opens: kinds that it opens, the innermost first.
        closes: kinds that it closes, the innermost first.
    """

    mark: str
    count: int
    can_open: bool = False
    can_close: bool = False
    within_word: bool = False
    beside_digit: bool = False
    is_both: bool = False
    left: int = field(default=-1)
    opens: list[str] = field(default_factory=list)
    closes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.left < 0:
            self.left = self.count


Node: TypeAlias = Words | CodeSpan | FormulaNode | Break | LinkStart | LinkEnd | Run
