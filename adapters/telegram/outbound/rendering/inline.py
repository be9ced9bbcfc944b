"""Inline content of one block: collected from the parser's events, then written with its entities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.telegram.outbound.rendering import links
from adapters.telegram.outbound.rendering.emphasis import make_run, resolve
from adapters.telegram.outbound.rendering.inline_nodes import (
    Break,
    CodeSpan,
    FormulaNode,
    LinkEnd,
    LinkStart,
    Node,
    Run,
    Words,
)
from adapters.telegram.outbound.rendering.latex.parts import UnknownLatex
from adapters.telegram.outbound.rendering.latex.reader import to_line
from adapters.telegram.outbound.rendering.output import Output
from adapters.telegram.outbound.rendering.placeholders import split_tokens
from adapters.telegram.outbound.rendering.preparation import Prepared

_RUN = re.compile(r"\*+|_+|~+")
IMAGE = "🖼 "
_MAX_LABEL_PARTS = 100
"""A longer label is not compared with its address, which is written out then."""


@dataclass(frozen=True, slots=True)
class _RawRun:
    """Run of marks at a range of bytes of the source."""

    mark: str
    start: int
    end: int


class Inline:
    """Collector of the inline content of one block.

    Args:
        prepared: the source, which `data` holds in UTF-8. Events name ranges of its bytes.
    """

    def __init__(self, prepared: Prepared, data: bytes) -> None:
        self._prepared = prepared
        self._data = data
        self._nodes: list[Node | _RawRun] = []
        self._end = 0

    def __bool__(self) -> bool:
        return bool(self._nodes)

    def add(self, node: Node) -> None:
        self._nodes.append(node)

    def add_literal(self, text: str) -> None:
        """Text in which no mark means anything."""
        self._nodes.append(Words(self._prepared.revealed(text)))

    def add_code(self, text: str) -> None:
        self._nodes.append(CodeSpan(self._prepared.revealed(text)))

    def add_text(self, text: str, start: int, end: int) -> None:
        """Text of the source from `start` to `end`. Marks in it that were escaped are words."""
        is_source = self._data[start:end] == text.encode()
        escaped = self._data[start - 1 : start] == b"\\" and self._end <= start - 1
        self._end = end
        if not is_source:
            self.add_literal(text)
            return
        if escaped:
            self._nodes.append(Words(text[0]))
            start += len(text[0].encode())
            text = text[1:]
        at = 0
        for found in _RUN.finditer(text):
            self._add_words(text[at : found.start()])
            start += len(text[at : found.start()].encode())
            self._add_run(found[0][0], start, start + len(found[0]))
            start += len(found[0])
            at = found.end()
        self._add_words(text[at:])

    def add_marks(self, start: int, end: int) -> None:
        """Emphasis marks at a range of the source, which the parser has taken for its own emphasis."""
        self._end = end
        mark = self._data[start : start + 1].decode(errors="replace")
        self._add_run(mark, start, end)

    def _add_run(self, mark: str, start: int, end: int) -> None:
        last = self._nodes[-1] if self._nodes else None
        if isinstance(last, _RawRun) and last.mark == mark and last.end == start:
            self._nodes[-1] = _RawRun(mark, last.start, end)
        else:
            self._nodes.append(_RawRun(mark, start, end))

    def _add_words(self, text: str) -> None:
        for place, part in enumerate(split_tokens(text)):
            if place % 2:
                self._nodes.append(FormulaNode(int(part)))
            elif part:
                self._nodes.append(Words(self._prepared.revealed(part)))

    def write(self, output: Output, *, is_plain: bool = False) -> None:
        """Write what was collected, and begin anew.

        Args:
            is_plain: without entities, on one line: for cells of tables.
        """
        nodes = [self._resolved(at) for at in range(len(self._nodes))]
        self._nodes = []
        resolve(nodes)
        _Writer(output, self._prepared, is_plain=is_plain).write(nodes)

    def _resolved(self, at: int) -> Node:
        node = self._nodes[at]
        if not isinstance(node, _RawRun):
            return node
        is_first = at == 0 or isinstance(self._nodes[at - 1], Break)
        is_last = at == len(self._nodes) - 1 or isinstance(self._nodes[at + 1], Break)
        before = "" if is_first else self._char_before(node.start)
        after = "" if is_last else self._char_at(node.end)
        return make_run(node.mark, node.end - node.start, before, after)

    def _char_before(self, start: int) -> str:
        text = self._data[max(0, start - 4) : start].decode(errors="ignore")
        return self._prepared.revealed(text[-1:])

    def _char_at(self, end: int) -> str:
        return self._prepared.revealed(self._data[end : end + 4].decode(errors="ignore")[:1])


class _Writer:
    """Writes resolved nodes."""

    def __init__(self, output: Output, prepared: Prepared, *, is_plain: bool) -> None:
        self._output = output
        self._prepared = prepared
        self._is_plain = is_plain
        self._open: list[tuple[str, int]] = []
        self._links: list[tuple[LinkStart, int, int]] = []

    def write(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            match node:
                case Words(text):
                    self._output.write(text.replace("\n", " ") if self._is_plain else text)
                case CodeSpan(text):
                    self._write_code(text)
                case FormulaNode(number):
                    self._write_formula(number)
                case Break():
                    self._output.write(" " if self._is_plain else "\n")
                case LinkStart():
                    self._start_link(node)
                case LinkEnd():
                    self._end_link()
                case Run():
                    self._write_run(node)

    def _write_code(self, text: str) -> None:
        start = self._output.units
        self._output.write(text)
        # Telegram keeps one of the two where code is in a link, and the address is what cannot be seen.
        if not self._is_plain and not self._links:
            self._output.mark("code", start)

    def _write_formula(self, number: int) -> None:
        formula = self._prepared.formulas[number]
        try:
            line = to_line(formula.tex)
        except UnknownLatex:
            self._write_code(" ".join(formula.tex.split()) if self._is_plain else formula.tex)
            return
        self._output.write("; ".join(line.split("\n")) if self._is_plain else line)

    def _write_run(self, run: Run) -> None:
        for kind in run.closes:
            opened, start = self._open.pop()
            if not self._is_plain:
                self._output.mark(opened or kind, start)
        self._output.write(run.mark * run.left)
        for kind in reversed(run.opens):
            self._open.append((kind, self._output.units))

    def _start_link(self, link: LinkStart) -> None:
        if link.is_image:
            self._output.write(IMAGE)
        self._links.append((link, self._output.units, self._output.parts))

    def _end_link(self) -> None:
        link, start, parts = self._links.pop()
        url = links.normalised(link.url)
        label = self._output.text_since(parts, _MAX_LABEL_PARTS)
        if not url:
            return
        if links.is_linkable(url) and self._may_be_linked(label, url):
            self._output.mark("text_link", start, url=url)
        elif label is not None and not label.strip():
            self._output.write(links.written_out(link.url))
        elif label is None or not links.shows(label, link.url):
            self._output.write(f" ({links.written_out(link.url)})")

    def _may_be_linked(self, label: str | None, url: str) -> bool:
        """Whether the label can be a link: it can be read, and hides no other address behind it."""
        if self._is_plain or self._links or label is None or not label.strip():
            return False
        return not links.hides_host(label, url)
