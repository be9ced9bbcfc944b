"""Blocks of a Markdown document, from the parser's events to text with entities."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from adapters.telegram.outbound.formatted import Formatted
from adapters.telegram.outbound.rendering.inline import Inline
from adapters.telegram.outbound.rendering.inline_nodes import Break, LinkEnd, LinkStart
from adapters.telegram.outbound.rendering.output import Output
from adapters.telegram.outbound.rendering.preparation import Prepared, label_key
from adapters.telegram.outbound.rendering.tables import table_text

RULE = "————————"
MAX_INDENTED_DEPTH = 8
"""Deeper lists are not indented further: the blanks of very deep ones would be most of the text."""
_CHECK_EVERY = 256
"""Events between two looks at the clock."""
_MAX_LANGUAGE_CHARS = 32


class RenderingTooSlow(Exception):
    """Rendering took more time than it may."""


def parse(source: str) -> Iterator[tuple[Any, int, int]]:
    """Events of the parser, with the ranges of bytes that they come from."""
    import pyromark

    options = pyromark.Options.ENABLE_TABLES | pyromark.Options.ENABLE_TASKLISTS
    for event, place in pyromark.events_with_range(source, options=options):
        yield event, place["start"], place["end"]


class BlockRenderer:
    """Renders one document.

    Attributes:
        used_labels: of the definitions of links that a text has used.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._data = prepared.source.encode()
        self._output = Output()
        self._inline = Inline(prepared, self._data)
        self._rows: list[list[str]] = []
        self._code: list[str] | None = None
        self._language = ""
        self._heading = "bold"
        self._lists: list[int | None] = []
        self._quotes: list[int] = []
        self._marker = ""
        self._is_fresh = True
        self._last_start = 0
        self.used_labels: set[str] = set()

    def render(self, give_up_at: float = float("inf")) -> Formatted:
        """The document as text.

        Args:
            give_up_at: CPU time of this thread (`time.thread_time`).

        Raises:
            RenderingTooSlow: it is not done by then.
        """
        for number, (event, start, end) in enumerate(parse(self._prepared.source)):
            if number % _CHECK_EVERY == 0 and time.thread_time() > give_up_at:
                raise RenderingTooSlow
            self._handle(event, start, end)
        self._flush()
        return self._output.formatted()

    def _handle(self, event: Any, start: int, end: int) -> None:
        if isinstance(event, str):
            if event == "Rule":
                self._begin_block(start)
                self._write(RULE)
            else:
                self._inline.add(Break())
            return
        ((name, value),) = event.items()
        match name:
            case "Text" if self._code is not None:
                self._code.append(value)
            case "Text":
                self._inline.add_text(value, start, end)
            case "Code":
                self._inline.add_code(value)
            case "Start":
                self._start(value, start, end)
            case "End":
                self._end(value, start, end)
            case "TaskListMarker":
                self._marker = re.sub(r"\S+ \Z", "☑ " if value else "☐ ", self._marker)
            case _:  # raw HTML
                self._inline.add_literal(value)

    def _start(self, tag: Any, start: int, end: int) -> None:
        name: str = tag if isinstance(tag, str) else next(iter(tag))
        value: Any = None if isinstance(tag, str) else tag[name]
        match name:
            case "Emphasis" | "Strong":
                self._inline.add_marks(start, start + (2 if name == "Strong" else 1))
            case "Link" | "Image":
                if value["id"]:
                    self.used_labels.add(label_key(self._prepared.revealed(value["id"])))
                url = self._prepared.revealed(value["dest_url"])
                self._inline.add(LinkStart(url, is_image=name == "Image"))
            case "Paragraph" | "HtmlBlock":
                self._begin_block(start)
            case "Heading":
                self._begin_block(start)
                self._heading = "italic" if value["level"] in ("H5", "H6") else "bold"
            case "CodeBlock":
                self._begin_block(start)
                self._code = []
                self._language = _language(value)
            case "BlockQuote":
                self._begin_block(start)
                self._write_marker()
                self._quotes.append(self._output.units)
                self._is_fresh = True
            case "List":
                self._begin_list(value, start)
            case "Item":
                self._begin_item()
            case "Table":
                self._begin_block(start)
                self._rows = []
            case "TableHead" | "TableRow":
                self._rows.append([])

    def _end(self, tag: Any, start: int, end: int) -> None:
        name = tag if isinstance(tag, str) else next(iter(tag))
        match name:
            case "Emphasis" | "Strong":
                self._inline.add_marks(end - (2 if name == "Strong" else 1), end)
            case "Link" | "Image":
                self._inline.add(LinkEnd())
            case "Paragraph" | "HtmlBlock":
                self._flush()
            case "Heading":
                self._end_heading()
            case "CodeBlock":
                self._end_code()
            case "BlockQuote":
                self._flush()
                self._output.mark("blockquote", self._quotes.pop())
                self._is_fresh = False
            case "List":
                self._flush()
                self._lists.pop()
            case "Item":
                self._flush()
                self._write_marker()
            case "TableCell":
                self._rows[-1].append(self._take_cell())
            case "Table":
                self._end_table()

    def _begin_block(self, start: int) -> None:
        """End what was before, and leave the room that the source leaves."""
        self._flush()
        wanted = 1 if self._lists or not self._has_blank_line_before(start) else 2
        self._last_start = start
        if self._is_fresh or self._marker:
            return
        self._output.write("\n" * (wanted - self._output.newlines))

    def _has_blank_line_before(self, start: int) -> bool:
        """Whether the source has a blank line before `start`; looks no further than the last block's begin."""
        newlines = 0
        for at in range(start - 1, self._last_start - 1, -1):
            char = self._data[at]
            if char == 0x0A:
                newlines += 1
                if newlines == 2:
                    return True
            elif char not in b" \t\r>":
                return False
        return False

    def _begin_list(self, first: int | None, start: int) -> None:
        if self._marker:  # a list in an item without words of its own
            self._write_marker()
            self._is_fresh = False
        self._begin_block(start)
        self._lists.append(first)

    def _begin_item(self) -> None:
        self._flush()
        if not self._is_fresh:
            self._output.write("\n" * (1 - self._output.newlines))
        indent = "  " * min(len(self._lists) - 1, MAX_INDENTED_DEPTH)
        number = self._lists[-1]
        if number is None:
            self._marker = f"{indent}• "
        else:
            self._marker = f"{indent}{number}. "
            self._lists[-1] = number + 1
        self._is_fresh = True

    def _write_marker(self) -> None:
        """Write the bullet or number of an item before its first words."""
        marker, self._marker = self._marker, ""
        if marker:
            self._output.write(marker)
            self._is_fresh = False

    def _write(self, text: str) -> None:
        self._write_marker()
        self._output.write(text)
        self._is_fresh = False

    def _flush(self) -> None:
        """Write the inline content that was collected."""
        if self._inline:
            self._write_marker()
            self._inline.write(self._output)
            self._is_fresh = False

    def _end_heading(self) -> None:
        self._write_marker()
        start = self._output.units
        self._flush()
        self._output.mark(self._heading, start)

    def _end_code(self) -> None:
        code = self._prepared.revealed("".join(self._code or ()))
        self._code = None
        code = code.removesuffix("\n")
        if not code:
            return
        if self._marker:
            self._write("\n")
        start = self._output.units
        self._write(code)
        self._output.mark("pre", start, language=self._language or None)

    def _take_cell(self) -> str:
        """What was collected, as the text of a cell."""
        cell = Output()
        self._inline.write(cell, is_plain=True)
        return cell.formatted().text.strip()

    def _end_table(self) -> None:
        text = table_text(self._rows)
        self._rows = []
        if text.strip():
            if self._marker:
                self._write("\n")
            start = self._output.units
            self._write(text)
            self._output.mark("pre", start)


def _language(kind: Any) -> str:
    """The language of a code block: the first word behind its fence."""
    info = kind.get("Fenced", "") if isinstance(kind, dict) else ""
    words = re.split(r"[\s,{]", info.strip(), maxsplit=1)
    return words[0][:_MAX_LANGUAGE_CHARS]
