"""Bars of table rows: those that the parser would drop with their words, or multiply into too many cells."""

from __future__ import annotations

import re

from adapters.telegram.outbound.rendering.placeholders import hidden

MAX_COLUMNS = 100
MAX_CELLS = 20_000
"""Cells of a table. The parser fills short rows up: a wide head over many short rows makes millions of them."""

_DELIMITER_ROW = re.compile(r"[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")
"""Of a line without blanks at its end: https://github.github.com/gfm/#tables-extension-"""

_BAR = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`[^`]*`")


def hide_surplus_bars(text: str) -> str:
    """`text` with placeholders for the bars of cells beyond a table's last column, and for tables that are too large."""
    if "|" not in text:
        return text
    lines = text.split("\n")
    at = 1
    while at < len(lines):
        line = lines[at].rstrip()
        if "-" not in line or not _DELIMITER_ROW.fullmatch(line):
            at += 1
            continue
        columns = _cells(line)
        if columns != _cells(lines[at - 1]) or (columns == 1 and "|" not in line):
            at += 1
            continue
        end = _end_of_table(lines, at)
        if columns > MAX_COLUMNS or columns * (end - at + 1) > MAX_CELLS:
            lines[at] = hidden(line)
        else:
            for row in range(at + 1, end):
                lines[row] = _without_surplus(lines[row], columns)
        at = end + 1
    return "\n".join(lines)


def _end_of_table(lines: list[str], at: int) -> int:
    """The line after the last row: a table ends before a blank line."""
    end = at + 1
    while end < len(lines) and lines[end].strip(" \t>"):
        end += 1
    return end


def _cells(row: str) -> int:
    return len(_inner_bars(row)) + 1


def _inner_bars(row: str) -> list[int]:
    """Positions of the bars between cells; those at both ends of the row are not."""
    row = row.rstrip()
    first = len(row) - len(row.lstrip(" \t>"))
    return [found.start() for found in _BAR.finditer(row) if first < found.start() < len(row) - 1]


def _without_surplus(row: str, columns: int) -> str:
    """`row` with at most `columns` cells: bars in code go first, then those behind the last column."""
    bars = _inner_bars(row)
    if len(bars) < columns:
        return row
    in_code = _in_code(row, bars)
    others = [bar for bar in bars if bar not in in_code]
    return _hide(row, sorted(in_code) + others[columns - 1 :])


def _in_code(row: str, bars: list[int]) -> set[int]:
    """Those of `bars`, which are in order, that stand in a code span."""
    found: set[int] = set()
    number = 0
    for span in _CODE.finditer(row):
        while number < len(bars) and bars[number] < span.start():
            number += 1
        while number < len(bars) and bars[number] < span.end():
            found.add(bars[number])
            number += 1
    return found


def _hide(row: str, bars: list[int]) -> str:
    chars = list(row)
    for bar in bars:
        chars[bar] = hidden("|")
    return "".join(chars)
