"""Parts of a formula, and how they are joined in one line so that its meaning stays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

Kind = Literal[
    "letter",
    "digit",
    "operator",
    "bracket",
    "function",
    "big",
    "fraction",
    "scripted",
    "bracketed",
    "text",
    "space",
    "group",
]
_SINGLE: frozenset[Kind] = frozenset({"letter", "bracketed", "scripted"})
_BESIDE_FRACTION = frozenset("+-−=<>,;:≤≥≠≈±≡∼→⇒⟹⟺⇔∈∝…⋯()[]{}")
"""Next to these a fraction needs no brackets."""
_PLAIN_WORD = re.compile(r"[^\W_]+")


class UnknownLatex(Exception):
    """Formula that cannot be written in one line without a risk to its meaning."""


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a formula: its text, and what it is."""

    text: str
    kind: Kind
    is_single: bool = False

    @classmethod
    def group(cls, parts: Sequence[Part]) -> Self:
        return cls(joined(parts), "group", is_atomic(parts))

    @classmethod
    def character(cls, char: str) -> Self:
        if char.isdecimal() or char == ".":
            return cls(char, "digit")
        if char.isalpha():
            return cls(char, "letter")
        if char in "()[]|":
            return cls(char, "bracket")
        return cls(char, "operator")


def is_atomic(parts: Sequence[Part]) -> bool:
    """Whether the parts read as one quantity: a number, a symbol, something in brackets."""
    solid = [part for part in parts if part.kind != "space"]
    if len(solid) == 1:
        part = solid[0]
        if part.kind == "group":
            return part.is_single
        is_word = part.kind in ("text", "function") and _PLAIN_WORD.fullmatch(part.text)
        return part.kind in _SINGLE or part.kind == "digit" or bool(is_word)
    if len(solid) == len(parts) and all(part.kind == "digit" for part in solid):
        return bool(solid)
    return _is_bracketed(solid)


def _is_bracketed(parts: Sequence[Part]) -> bool:
    """Whether one pair of brackets is around all of it."""
    if len(parts) < 2 or (parts[0].text, parts[-1].text) not in (("(", ")"), ("[", "]")):
        return False
    level = 0
    for part in parts[:-1]:
        level += (part.text in "([") - (part.text in ")]")
        if level == 0:
            return False
    return True


def operand(parts: Sequence[Part]) -> str:
    """The parts as an operand: in brackets, unless they read as one quantity."""
    text = joined(parts).strip()
    return text if is_atomic(parts) or len(text) == 1 else f"({text})"


def script(parts: Sequence[Part]) -> str:
    """The parts as a script: one with a script of its own gets brackets."""
    text = operand(parts)
    return (
        f"({text})" if len(text) > 1 and ("^" in text or "_" in text) and text[0] != "(" else text
    )


def scripted(base: Part) -> str:
    """`base` with room for a script: in brackets, if the script would go to a part of it only."""
    if base.kind == "fraction" or (base.kind == "group" and not base.is_single and base.text):
        return f"({base.text.strip()})"
    return base.text


def joined(parts: Sequence[Part]) -> str:
    """The parts in one line."""
    pieces: list[str] = []
    previous: Part | None = None
    gap = False
    for number, part in enumerate(parts):
        if part.kind == "space" and part.text != "\n":
            gap = bool(pieces)
            continue
        text = part.text
        if part.kind == "fraction" and _needs_brackets(parts, number):
            text = f"({text})"
        if part.kind == "operator" and not gap and pieces and _has_blank_after(parts, number):
            gap = True
        if gap or (previous is not None and _needs_blank(previous, part, text)):
            pieces.append(" ")
        pieces.append(text)
        previous, gap = part, False
    return "".join(pieces)


def _has_blank_after(parts: Sequence[Part], number: int) -> bool:
    """Whether a blank follows an operator such as ∩: then one goes before it, too."""
    return parts[number].text not in ",;:" and [
        part.kind for part in parts[number + 1 : number + 2]
    ] == ["space"]


def _needs_blank(previous: Part, part: Part, text: str) -> bool:
    """Whether two parts would run into each other."""
    starts_word = text[:1].isalnum()
    if previous.kind == "scripted":
        return starts_word and part.kind != "text"
    if previous.kind in ("function", "text"):
        return starts_word or (previous.kind == "function" and text[:1] in "√∑∫")
    if part.kind == "function":
        return previous.text[-1:].isalnum() or previous.text[-1:] == ")"
    return previous.kind == "big" and starts_word


def _needs_brackets(parts: Sequence[Part], number: int) -> bool:
    """Whether the fraction at `number` has a neighbour that it would be taken together with."""
    before = _neighbour(parts, range(number - 1, -1, -1))
    after = _neighbour(parts, range(number + 1, len(parts)))
    return (
        not (
            (before == "" or before[-1] in _BESIDE_FRACTION)
            and (after == "" or after[0] in _BESIDE_FRACTION)
        )
        or before[-1:] == ")"
        or after[:1] == "("
    )


def _neighbour(parts: Sequence[Part], places: range) -> str:
    """Text of the next part that is no blank; `""` at the end, and at a line's."""
    for place in places:
        text = parts[place].text
        if "\n" in text:
            return ""
        if parts[place].kind != "space" and text.strip():
            return text.strip()
    return ""
