"""Placeholders of Markdown marks: noncharacters, which the parser takes for letters.

A mark that is no Markdown, such as the `<` of `Vec<T>`, is replaced before parsing and put back wherever
it comes out: in words, in code and in addresses. So replacing needs no knowledge of what surrounds it, and
one pass of the parser is enough.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_FIRST = 0xFDD0
"""The 32 noncharacters U+FDD0…U+FDEF are for internal use: https://www.unicode.org/faq/private_use.html#nonchar1"""

_MARKS = "<:*_|"
_OPEN, _CLOSE = chr(_FIRST + 30), chr(_FIRST + 31)
_HIDDEN = {ord(mark): chr(_FIRST + number) for number, mark in enumerate(_MARKS)}
_REVEALED = {ord(hidden): chr(mark) for mark, hidden in _HIDDEN.items()}
_ANY = re.compile(r"[\ufdd0-\ufdef]")
_TOKEN = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


def without_placeholders(text: str) -> str:
    """`text` of others, in which no character may be taken for a placeholder."""
    return _ANY.sub("\ufffd", text) if _ANY.search(text) else text


def hidden(text: str) -> str:
    """`text` with placeholders for its marks."""
    return text.translate(_HIDDEN)


def token(number: int) -> str:
    """The placeholder of the formula with this number."""
    return f"{_OPEN}{number}{_CLOSE}"


def revealed(text: str, sources: Sequence[str]) -> str:
    """`text` as it was written: marks for their placeholders, and `sources` for the tokens."""
    if not _ANY.search(text):
        return text
    return _TOKEN.sub(lambda found: sources[int(found[1])], text).translate(_REVEALED)


def split_tokens(text: str) -> list[str]:
    """`text` cut at its tokens: words at even places, numbers of formulas at odd ones."""
    return _TOKEN.split(text)
