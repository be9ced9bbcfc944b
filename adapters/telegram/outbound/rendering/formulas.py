r"""Formulas in Markdown: $…$, $$…$$, \(…\) and \[…\], told apart from prices, shell variables and escapes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.shared.markdown_fences import Fence
from adapters.telegram.outbound.rendering.latex.symbols import FUNCTIONS
from adapters.telegram.outbound.rendering.placeholders import token

MAX_CHARS = 4_000

_MARK = re.compile(r"(?<!\\)(?:\$+|\\[()\[\]])")
_CLOSERS = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
_NEVER_INSIDE = re.compile(r"`|~~~|\n[ \t>]*\n")
_QUOTE_PREFIX = re.compile(r"(?m)^[ \t]*(?:>[ \t]?)+")
_COMMAND = re.compile(r"\\[A-Za-z]+|\\[,;:!|{}%]")
_GROUP = re.compile(r"\{[^{}]*\}")
_LETTERS = re.compile(r"[^\W\d_]+")
_SCRIPT = re.compile(r"[\w)\]}|'′]\s*[\^_]\s*[\w{(*+'\\-]")
_SIMPLE = re.compile(r"[\w\s+\-−*/=<>≤≥≠≈±×·÷→∞()\[\].,:;!?'′|%^{}&°]+")
_ABBREVIATION = re.compile(r"[^\W\d_]\.")
_OPERATOR = re.compile(r"[=<>+\-−*/≤≥≠≈±×·÷→,|]")


@dataclass(frozen=True, slots=True)
class Formula:
    """Formula in a text.

    Attributes:
        source: as it was written, with its marks.
        tex: without them, and without the marks of a quote around it.
    """

    source: str
    tex: str


def hide_formulas(text: str) -> tuple[str, list[Formula]]:
    """`text` with a placeholder for each formula, and the formulas."""
    if "$" not in text and "\\" not in text:
        return text, []
    marks = list(_MARK.finditer(text))
    partners = _partners([mark[0] for mark in marks])
    fences = _fenced_spans(text) if marks else []
    formulas: list[Formula] = []
    parts: list[str] = []
    end = at = fence = 0
    while at < len(marks):
        start = marks[at].start()
        while fence < len(fences) and fences[fence][1] <= start:
            fence += 1
        limit = fences[fence][0] if fence < len(fences) else len(text)
        partner = partners[at]
        formula = None
        if partner is not None and marks[partner].end() <= limit:
            formula = _formula(text, marks[at], marks[partner])
        if formula is None or partner is None:
            at += 1
            continue
        parts += (text[end:start], token(len(formulas)))
        formulas.append(formula)
        end = marks[partner].end()
        at = partner + 1
    return "".join((*parts, text[end:])), formulas


def _partners(marks: list[str]) -> list[int | None]:
    """For each opening mark the next mark of its family, if that closes it."""
    partners: list[int | None] = [None] * len(marks)
    following: dict[bool, int] = {}
    for at in range(len(marks) - 1, -1, -1):
        mark = marks[at]
        is_dollar = mark.startswith("$")
        candidate = following.get(is_dollar)
        if candidate is not None and _CLOSERS.get(mark) == marks[candidate]:
            partners[at] = candidate
        following[is_dollar] = at
    return partners


def _fenced_spans(text: str) -> list[tuple[int, int]]:
    """Ranges of the fenced code blocks, in order."""
    spans: list[tuple[int, int]] = []
    fence: Fence | None = None
    start = at = 0
    for line in text.split("\n"):
        if "```" in line or "~~~" in line:
            if fence is None:
                fence, start = Fence.opened_by(line), at
            elif fence.is_closed_by(line):
                spans.append((start, at + len(line)))
                fence = None
        at += len(line) + 1
    if fence is not None:
        spans.append((start, len(text)))
    return spans


def _formula(text: str, opener: re.Match[str], closer: re.Match[str]) -> Formula | None:
    """The formula between two marks; None if there is none."""
    inside = text[opener.end() : closer.start()]
    if len(inside) > MAX_CHARS or not inside.strip() or _NEVER_INSIDE.search(inside):
        return None
    if opener[0] == "$" and not _encloses(text, opener, closer, inside):
        return None
    line_start = text.rfind("\n", max(0, opener.start() - 200), opener.start()) + 1
    if ">" in text[line_start : opener.start()]:
        inside = _QUOTE_PREFIX.sub("", inside)
    if not _is_formula(inside.strip(), opener[0]):
        return None
    return Formula(text[opener.start() : closer.end()], inside.strip())


def _encloses(text: str, opener: re.Match[str], closer: re.Match[str], inside: str) -> bool:
    """Whether two single dollars may enclose a formula: those of prices and variables do not."""
    before = text[opener.start() - 1 : opener.start()]
    after = text[closer.end() : closer.end() + 1]
    return not (
        inside[0].isspace()
        or inside[-1].isspace()
        or (before.isalnum() and before.isascii())
        or (after.isalnum() and after.isascii())
        or inside.count("\n") > 1
    )


def _is_formula(tex: str, opener: str) -> bool:
    r"""Whether it reads as mathematics rather than as words. \[1\] and \(5\) are brackets that were escaped."""
    if _COMMAND.search(tex):
        return True
    bare = _GROUP.sub("", tex)
    words = [word for word in _LETTERS.findall(bare) if word not in FUNCTIONS]
    longest = max(map(len, words), default=0)
    if _SCRIPT.search(tex):
        return longest <= (3 if "^" in tex else 1) or "{" in tex
    if not _SIMPLE.fullmatch(tex) or _ABBREVIATION.search(tex):
        return False
    if opener == r"\[" or (opener == r"\(" and not words):
        return longest <= 1 and _OPERATOR.search(tex) is not None
    if len(tex) <= 3 and tex.isalnum():
        return True
    return longest <= 1 and (" " not in tex or _OPERATOR.search(tex) is not None)
