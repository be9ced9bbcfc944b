"""Escaping of a model's Markdown, so that the parser drops none of its words.

Markdown shows neither raw HTML, nor definitions of links that are not used, nor cells beyond a table's last
column, nor the stars of 2*3*4; telegramify-markdown also takes double bars for a spoiler and any two dollars
for a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_ROUNDS = 12
"""Escaping one tag may reveal another to the parser."""

_DEFINITION = re.compile(rb"(?m)^[ \t>*+\-\d.)]*(\[)([^\]\n]+)\]:")
_BAR = re.compile(rb"(?<!\\)\|")
_CODE = re.compile(rb"`[^`]*`")
_LATEX = re.compile(
    rb"\\(?:\[((?:(?!\n\n).){1,1000}?)\\\]|\(((?:(?!\n\n).){1,1000}?)\\\))", re.DOTALL
)
_COMMAND = re.compile(rb"\\[A-Za-z]")
_NAME = re.compile(rb"__[a-z0-9_]+__")
_ADDRESS = re.compile(rb"https?://[^\s<>()\[\]]+")

Edit = tuple[int, int, bytes]
"""Start, end (in bytes), and the replacement."""


def escape_markdown(markdown: str) -> str:
    """`markdown` with backslashes where words would be dropped; readers do not see them."""
    for _ in range(_ROUNDS):
        data = markdown.encode()
        edits = sorted(_edits(_Parsed.of(markdown)), reverse=True)
        if not edits:
            break
        for start, end, new in edits:
            data = data[:start] + new + data[end:]
        markdown = data.decode()
    return markdown


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Ranges of HTML, code, tables, formulas and emphasis, as the parser sees them; in bytes of `source`."""

    source: bytes
    html: list[tuple[int, int]] = field(default_factory=list)
    code: list[tuple[int, int]] = field(default_factory=list)
    tables: list[tuple[int, int]] = field(default_factory=list)
    formulas: list[tuple[int, int]] = field(default_factory=list)
    emphasis: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, markdown: str) -> _Parsed:
        import pyromark
        from telegramify_markdown.converter import STANDARD_OPTIONS

        found = cls(markdown.encode())
        for event, place in pyromark.events_with_range(markdown, options=STANDARD_OPTIONS):
            if not isinstance(event, dict):
                continue
            at = (place["start"], place["end"])
            start: Any = event.get("Start")
            if "InlineHtml" in event or "Html" in event:
                found.html.append(at)
            elif "Code" in event or (isinstance(start, dict) and "CodeBlock" in start):
                found.code.append(at)
            elif isinstance(start, dict) and "Table" in start:
                found.tables.append(at)
            elif "InlineMath" in event or "DisplayMath" in event:
                found.formulas.append(at)
            elif start in ("Emphasis", "Strong"):
                found.emphasis.append(at)
        return found

    def in_code(self, at: int) -> bool:
        return any(start <= at < end for start, end in self.code)

    def in_table(self, at: int) -> bool:
        return any(start <= at < end for start, end in self.tables)


def _edits(parsed: _Parsed) -> Iterator[Edit]:
    surplus = [edit for table in parsed.tables for edit in _surplus_cells(parsed.source, *table)]
    first = surplus or list(_latex(parsed))
    if first:  # the rest in the next round: they change what the parser sees around them
        yield from first
        return
    yield from _dollars(parsed)
    yield from _stars(parsed)
    yield from _tags(parsed)
    yield from _double_bars(parsed)
    yield from _definitions(parsed)


def _latex(parsed: _Parsed) -> Iterator[Edit]:
    r"""\(…\) and \[…\] with a command in it are formulas: written with dollars, which the parser knows."""
    for found in _LATEX.finditer(parsed.source):
        formula = (found[1] or found[2]).strip()
        if _COMMAND.search(formula) and not parsed.in_code(found.start()):
            dollars = b"$$" if found[1] else b"$"
            yield found.start(), found.end(), dollars + formula + dollars


def _dollars(parsed: _Parsed) -> Iterator[Edit]:
    """Two dollars enclose a formula only if a LaTeX command or a `^` stands between them: not in $PATH:$HOME."""
    for start, end in parsed.formulas:
        width = 2 if parsed.source[start : start + 2] == b"$$" else 1
        inside = parsed.source[start + width : end - width]
        dollars = rb"\$" * width
        if not _COMMAND.search(inside) and b"^" not in inside:
            yield start, start + width, dollars
            yield end - width, end, dollars
        elif parsed.in_table(start):  # telegramify would set it before the table; there it is code
            yield start, start, b"`"
            yield end, end, b"`"


def _stars(parsed: _Parsed) -> Iterator[Edit]:
    """Marks that people do not mean as emphasis: of 1*2 and 3*4, x**2 + y**2, Leser*innen, __init__, addresses."""
    source = parsed.source
    addresses = [found.span() for found in _ADDRESS.finditer(source)] if parsed.emphasis else []
    for start, end in parsed.emphasis:
        mark = source[start : start + 1]
        width = 2 if source[start + 1 : start + 2] == mark else 1
        if (
            _opens_within_word(source, start, end, width)
            or _NAME.fullmatch(source, start, end)
            or any(first < start and end <= last for first, last in addresses)
        ):
            yield start, start + width, (b"\\" + mark) * width
            yield end - width, end, (b"\\" + mark) * width


def _opens_within_word(source: bytes, start: int, end: int, width: int) -> bool:
    """Whether emphasis opens within a word and is not meant so.

    Bold may be, for a part of the word: un**glaub**lich. Scripts without capitals have no blanks between words.
    """
    before = source[max(0, start - 4) : start].decode(errors="ignore")[-1:]
    inside = source[start + width : end - width].decode()
    if not (_is_word_char(before) and _is_word_char(inside[:1])):
        return False
    return width == 1 or before.isdecimal() or not inside.isalnum()


def _is_word_char(char: str) -> bool:
    return char.isdecimal() or char.lower() != char.upper()


def _tags(parsed: _Parsed) -> Iterator[Edit]:
    for start, end in parsed.html:
        for found in re.finditer(rb"<", parsed.source[start:end]):
            at = start + found.start()
            if not parsed.in_code(at):
                yield at, at + 1, b"\\<"


def _double_bars(parsed: _Parsed) -> Iterator[Edit]:
    """telegramify takes ||…|| for a spoiler, also across the cells of a table."""
    for found in re.finditer(rb"(?<!\\)\|(?=\|)", parsed.source):
        if parsed.in_table(found.start()):
            yield found.start(), found.end(), b"| "
        elif not parsed.in_code(found.start()):
            yield found.start(), found.end(), b"\\|"


def _definitions(parsed: _Parsed) -> Iterator[Edit]:
    """Footnotes and lists of sources: definitions of links that no text uses."""
    source = parsed.source.lower()
    for found in _DEFINITION.finditer(source):
        vanishes = found[2].startswith(b"^") or source.count(b"[" + found[2] + b"]") == 1
        if vanishes and not parsed.in_code(found.start(1)):
            yield found.start(1), found.end(1), b"\\["


def _surplus_cells(source: bytes, start: int, end: int) -> Iterator[Edit]:
    """Bars of a row with too many cells: first those in code, else those behind the last column."""
    columns = 0
    at = start
    for line in source[start:end].splitlines(keepends=True):
        row = line.rstrip()
        first = len(row) - len(row.lstrip(b" \t>"))
        bars = [found.start() for found in _BAR.finditer(row)]
        inner = [bar for bar in bars if first < bar < len(row) - 1]
        columns = columns or len(inner) + 1
        surplus = inner[columns - 1 :]
        in_code = [range(*found.span()) for found in _CODE.finditer(row)] if surplus else []
        inside_code = [bar for bar in inner if any(bar in span for span in in_code)]
        for bar in inside_code or surplus:
            yield at + bar, at + bar + 1, b"\\|"
        at += len(line)
