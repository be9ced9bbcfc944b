"""Tables in a fixed-width block: Telegram's messages have none of their own."""

from __future__ import annotations

from collections.abc import Sequence

MAX_PADDED_CHARS = 60
"""A longer cell does not widen its column: the lines would wrap on every phone."""
MAX_GROWTH = 4
"""A table that grows more than so often by its blanks is written without them."""


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """The rows below each other, their columns in line, and a rule below the first row."""
    if not rows:
        return ""
    columns = max(len(row) for row in rows)
    widths = [
        max((len(row[at]) for row in rows if at < len(row)), default=0) for at in range(columns)
    ]
    widths = [min(width, MAX_PADDED_CHARS) for width in widths]
    written = sum(len(cell) + 3 for row in rows for cell in row)
    if (sum(widths) + 3 * columns) * len(rows) > MAX_GROWTH * written + 2_000:
        widths = [0] * columns
    lines = [_line(row, widths) for row in rows]
    if len(rows) > 1:
        lines.insert(1, "-+-".join("-" * max(width, 1) for width in widths))
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [*row, *[""] * (len(widths) - len(row))]
    return " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
