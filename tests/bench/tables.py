"""Tables of the bench, with the promises that each of them checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Promise:
    """A named figure that must be `limit` at most (or at least)."""

    name: str
    value: float
    limit: float
    direction: Literal["at most", "at least"] = "at most"

    @property
    def is_kept(self) -> bool:
        return self.value <= self.limit if self.direction == "at most" else self.value >= self.limit

    def __str__(self) -> str:
        verdict = "kept" if self.is_kept else "BROKEN"
        return (
            f"  {self.name}: {number(self.value)}, {self.direction} {number(self.limit)}: {verdict}"
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first cell of a row is its name, the others are aligned right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    promises: Sequence[Promise] = ()
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        lines = [line for line in (self.columns, *self.rows) if any(line)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.columns))]
        drawn = [
            "  " + line[0].ljust(widths[0])
            + "".join("  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
            for line in lines
        ]  # fmt: skip
        notes = [f"  ({note})" for note in self.notes]
        return "\n".join(["", self.title, *drawn, *notes, *map(str, self.promises)])


def number(value: float) -> str:
    """Format with three significant digits, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def share(value: float) -> str:
    return f"{value:.1%}"
