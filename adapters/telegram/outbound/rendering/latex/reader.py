r"""LaTeX formulas in one line: \frac{1}{2a} is 1/(2a). Brackets keep the meaning; what is not known is refused.

Notation: https://www.unicode.org/notes/tn28/ (linear format).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import ClassVar

from adapters.telegram.outbound.rendering.latex import symbols
from adapters.telegram.outbound.rendering.latex.commands import (
    accented,
    chemistry,
    in_alphabet,
    plain_command,
    plain_text,
)
from adapters.telegram.outbound.rendering.latex.parts import (
    Part,
    UnknownLatex,
    joined,
    operand,
    script,
    scripted,
)
from adapters.telegram.outbound.rendering.latex.rows import ENVIRONMENTS, rows_text

MAX_DEPTH = 40

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\s+|.", re.DOTALL)
_FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac", "sfrac", "nicefrac"})
_BINOMIALS = frozenset({"binom", "dbinom", "tbinom"})
_TEXTS = frozenset(
    {"text", "textrm", "textit", "textbf", "textsf", "texttt", "mbox", "hbox", "textnormal"}
)
_UPRIGHT = frozenset(
    {"mathrm", "mathit", "mathsf", "mathtt", "mathnormal", "operatorname", "operatorname*", "rm"}
)
_TRANSPARENT = frozenset(
    {
        "boxed",
        "fbox",
        "ensuremath",
        "mathord",
        "mathbin",
        "mathrel",
        "mathop",
        "mathopen",
        "mathclose",
    }
)
_ROOTS = {"2": "√", "3": "∛", "4": "∜"}


def to_line(tex: str) -> str:
    """`tex` as text.

    Raises:
        UnknownLatex: it holds a command that is not known, or is not well formed.
    """
    reader = _Reader(_TOKEN.findall(tex))
    text = joined(reader.read_until(None, 0))
    if not text.strip():
        raise UnknownLatex(tex)
    return unicodedata.normalize("NFC", re.sub(" {2,}", " ", text.strip()))


class _Reader:
    """Recursive descent over the tokens of a formula."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def read_until(self, closer: str | None, depth: int) -> list[Part]:
        """The parts before the lexeme `closer`, which is passed. Raises UnknownLatex."""
        parts: list[Part] = []
        while True:
            lexeme = self._next()
            if lexeme is None:
                if closer is None:
                    return parts
                raise UnknownLatex(f"no {closer}")
            if lexeme == closer:
                return parts
            if lexeme in "^_" or lexeme == "'":
                self._read_script(parts, lexeme, depth)
            else:
                parts += self._read(lexeme, depth)

    def _next(self) -> str | None:
        if self._at >= len(self._tokens):
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def _next_solid(self) -> str:
        """The next lexeme that is no blank. Raises UnknownLatex."""
        while (lexeme := self._next()) is not None:
            if not lexeme.isspace():
                return lexeme
        raise UnknownLatex("it ends too soon")

    def _read(self, lexeme: str, depth: int) -> list[Part]:
        """The parts that begin with `lexeme`. Raises UnknownLatex."""
        if depth > MAX_DEPTH:
            raise UnknownLatex("too deep")
        if lexeme == "{":
            return [Part.group(self.read_until("}", depth + 1))]
        if lexeme in "}&":
            raise UnknownLatex(lexeme)
        if lexeme.isspace() or lexeme == "~":
            return [Part(" ", "space")]
        if lexeme.startswith("\\") and len(lexeme) > 1:
            return self._read_command(lexeme[1:], depth)
        return [Part.character(lexeme)]

    def _argument(self, depth: int) -> list[Part]:
        """A group, or one lexeme."""
        lexeme = self._next_solid()
        if lexeme == "{":
            return self.read_until("}", depth + 1)
        return self._read(lexeme, depth + 1)

    def _option(self, depth: int) -> list[Part] | None:
        """What stands in square brackets, if they come next."""
        if self._at < len(self._tokens) and self._tokens[self._at] == "[":
            self._at += 1
            return self.read_until("]", depth + 1)
        return None

    def _raw_argument(self) -> str:
        """A group as it is written."""
        if self._next_solid() != "{":
            raise UnknownLatex("no group")
        start, level = self._at, 1
        while level:
            lexeme = self._next()
            if lexeme is None:
                raise UnknownLatex("no }")
            level += (lexeme == "{") - (lexeme == "}")
        return "".join(self._tokens[start : self._at - 1])

    def _read_script(self, parts: list[Part], mark: str, depth: int) -> None:
        """Attach a script to the last lexeme."""
        while parts and parts[-1].kind == "space":
            parts.pop()
        base = parts.pop() if parts else Part("", "letter")
        if mark == "'":
            parts.append(Part(f"{scripted(base)}′", "scripted"))
            return
        content = self._argument(depth)
        if mark == "^" and joined(content) == "∘":
            parts.append(Part(f"{scripted(base)}°", "scripted"))
            return
        if mark == "^" and content and not joined(content).strip("′"):
            parts.append(Part(scripted(base) + joined(content), "scripted"))
            return
        parts.append(Part(f"{scripted(base)}{mark}{script(content)}", "scripted"))

    def _read_command(self, name: str, depth: int) -> list[Part]:
        plain = plain_command(name)
        if plain is not None:
            return plain
        if name in _FRACTIONS:
            above, below = self._argument(depth), self._argument(depth)
            return [Part(f"{operand(above)}/{operand(below)}", "fraction")]
        if name in _BINOMIALS:
            above, below = self._argument(depth), self._argument(depth)
            return [Part(f"({joined(above)} choose {joined(below)})", "bracketed")]
        if name == "sqrt":
            return [self._root(depth)]
        if name in _TEXTS:
            return [Part(plain_text(self._raw_argument()), "text")]
        if name in _UPRIGHT or name in symbols.ALPHABETS:
            return [in_alphabet(name, joined(self._argument(depth)))]
        if name in symbols.ACCENTS:
            return [accented(name, joined(self._argument(depth)))]
        if name in _TRANSPARENT:
            return [Part.group(self._argument(depth))]
        if name == "begin":
            return [self._environment(depth)]
        reader = self._special.get(name)
        if reader is None:
            raise UnknownLatex(name)
        return reader(self, depth)

    def _root(self, depth: int) -> Part:
        degree = self._option(depth)
        inside = self._argument(depth)
        sign = _ROOTS.get("2" if degree is None else joined(degree).strip())
        if sign is None:
            return Part(f"{operand(inside)}^(1/{operand(degree or [])})", "scripted")
        return Part(sign + operand(inside), "scripted")

    def _environment(self, depth: int) -> Part:
        name = self._raw_argument().rstrip("*")
        kind = ENVIRONMENTS.get(name)
        if kind is None or depth > MAX_DEPTH:
            raise UnknownLatex(name)
        if kind.has_columns:
            self._raw_argument()
        rows: list[list[str]] = [[]]
        cell: list[Part] = []
        while True:
            lexeme = self._next()
            if lexeme is None:
                raise UnknownLatex(f"no end of {name}")
            if lexeme in ("&", "\\\\", "\\end"):
                rows[-1].append(joined(cell).strip())
                cell = []
            if lexeme == "\\end":
                if self._raw_argument().rstrip("*") != name:
                    raise UnknownLatex(f"no end of {name}")
                return Part(rows_text(rows, kind), "bracketed" if kind.separator else "text")
            if lexeme == "\\\\":
                self._option(depth)
                rows.append([])
            elif lexeme in "^_'":
                self._read_script(cell, lexeme, depth + 1)
            elif lexeme != "&":
                cell += self._read(lexeme, depth + 1)

    def _mod(self, depth: int) -> list[Part]:
        return [Part(f" (mod {joined(self._argument(depth))})", "text")]

    def _tag(self, depth: int) -> list[Part]:
        return [Part(f"  ({plain_text(self._raw_argument())})", "text")]

    def _dropped(self, depth: int) -> list[Part]:
        self._raw_argument()
        return []

    def _coloured(self, depth: int) -> list[Part]:
        self._raw_argument()
        return [Part.group(self._argument(depth))]

    def _negated(self, depth: int) -> list[Part]:
        items = self._argument(depth)
        if len(items) != 1 or len(items[0].text) != 1:
            raise UnknownLatex("not")
        item = items[0]
        return [Part(unicodedata.normalize("NFC", item.text + "\u0338"), item.kind)]

    def _chemistry(self, depth: int) -> list[Part]:
        return [Part(chemistry(self._raw_argument()), "text")]

    def _quantity(self, depth: int) -> list[Part]:
        return [
            Part(f"{plain_text(self._raw_argument())} {plain_text(self._raw_argument())}", "text")
        ]

    def _stacked(self, depth: int) -> list[Part]:
        content = self._raw_argument()
        if "\\substack" in content:
            raise UnknownLatex("too deep")
        lines = content.split("\\\\")
        return [Part(", ".join(to_line(line) for line in lines), "text")]

    _special: ClassVar[dict[str, Callable[[_Reader, int], list[Part]]]] = {
        "pmod": _mod, "tag": _tag, "tag*": _tag, "label": _dropped, "color": _dropped, "hspace": _dropped,
        "vspace": _dropped, "textcolor": _coloured, "colorbox": _coloured, "not": _negated, "ce": _chemistry,
        "SI": _quantity, "qty": _quantity, "substack": _stacked,
    }  # fmt: skip
