"""LaTeX commands without structure: symbols, words, letters of other alphabets, accents, chemistry."""

from __future__ import annotations

import re
import unicodedata

from adapters.telegram.outbound.rendering.latex import symbols
from adapters.telegram.outbound.rendering.latex.parts import Part, UnknownLatex

_IGNORED = frozenset(
    {"left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr", "bigm", "Bigm", "limits", "nolimits", "displaystyle", "textstyle", "scriptstyle", "scriptscriptstyle", "nonumber", "notag", "hline", "allowbreak", "nobreak", "mathstrut", "strut"}
)  # fmt: skip
_SPACES = frozenset({"quad", "qquad", "space", "enspace", "thinspace", "enskip", "nobreakspace"})


def plain_command(name: str) -> list[Part] | None:
    """The parts of a command without arguments."""
    if name in symbols.LETTERS:
        return [Part(symbols.LETTERS[name], "letter")]
    if name in symbols.OPERATORS:
        return [Part(symbols.OPERATORS[name], "operator")]
    if name in symbols.BIG_OPERATORS:
        return [Part(symbols.BIG_OPERATORS[name], "big")]
    if name in symbols.BRACKETS:
        return [Part(symbols.BRACKETS[name], "bracket")]
    if name in symbols.FUNCTION_COMMANDS:
        return [Part(name, "function")]
    if name in ("bmod", "mod"):
        return [Part(" mod ", "operator")]
    if name == "\\":
        return [Part("\n", "space")]
    if name in _IGNORED or name == "!":
        return []
    if name in _SPACES or name in ",;:> ":
        return [Part(" ", "space")]
    if name == "|":
        return [Part("‖", "bracket")]
    return [Part(name, "bracket")] if name in "{}%$#&_-" else None


def plain_text(text: str) -> str:
    r"""Words of \text{…}. Raises UnknownLatex for a command in them."""
    text = re.sub(r"\\([ %$#&_{}])", r"\1", text)
    if "\\" in text or "{" in text:
        raise UnknownLatex(text)
    return re.sub(r"\s+", " ", text.replace("$", "").replace("~", " "))


def chemistry(text: str) -> str:
    r"""Content of \ce{…}: H2SO4, and arrows."""
    for arrow, sign in (("<=>", "⇌"), ("<->", "↔"), ("->", "→"), ("<-", "←"), (r"\cdot", "·")):
        text = text.replace(arrow, sign)
    text = re.sub(r"_\{([0-9]+)\}|_([0-9])", r"\1\2", text)
    text = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", text)
    if re.search(r"[\\{}$]", text):
        raise UnknownLatex(text)
    return re.sub(r"\s+", " ", text).strip()


def in_alphabet(name: str, text: str) -> Part:
    patterns = symbols.ALPHABETS.get(name, ())
    letters = text.replace(" ", "")
    if not patterns or (name in ("mathbf", "boldsymbol", "bm") and len(letters) != 1):
        return Part(text, "letter" if len(text) == 1 else "function" if text.isalpha() else "text")
    return Part("".join(_letter(char, patterns) for char in letters), "letter")


def _letter(char: str, patterns: tuple[str, ...]) -> str:
    if not (char.isascii() and char.isalpha()):
        return char
    case = "CAPITAL" if char.isupper() else "SMALL"
    for pattern in patterns:
        try:
            return unicodedata.lookup(pattern.format(f"{case} {char.upper()}"))
        except KeyError:
            continue
    return char


def accented(name: str, text: str) -> Part:
    if len(text) != 1 and not (name in symbols.LINES and text.isalnum() and len(text) <= 40):
        raise UnknownLatex(name)
    return Part("".join(char + symbols.ACCENTS[name] for char in text), "letter")
