"""Text helpers: cleaning of untrusted text, lengths and sizes."""

from __future__ import annotations

import json
import re
from typing import Any

from wcwidth import grapheme_boundary_before

MAX_SYMBOL_CHARS = 1_000
"""A longer grapheme cluster fits into no message, and is cut."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""All but tab and line feed, and the overrides of the direction of writing (UAX #9)."""


def strip_controls(text: str) -> str:
    """`text` without control characters, so that untrusted text cannot steer a terminal."""
    return _CONTROLS.sub("", text)


def readable_json(data: Any) -> str:
    """`data` as indented JSON; control characters are escaped, not removed."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return _CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", text)


def human_size(size_bytes: int) -> str:
    """A size for people: `312 bytes`, `4 kB`, `1.2 MB`."""
    if size_bytes < 1_000:
        return f"{size_bytes} bytes"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1_000:.0f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"


def clean_text(text: str) -> str:
    """`text` without lone surrogates, which JSON can carry and UTF-8 cannot."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clean_fields(value: object, *names: str) -> None:
    """Apply `clean_text` to fields of a frozen dataclass, in its `__post_init__`."""
    for name in names:
        text = getattr(value, name)
        if not text.isascii():
            object.__setattr__(value, name, clean_text(text))


def utf16_length(text: str) -> int:
    """Length in UTF-16 code units, as Telegram and Slack count it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf16_slice(text: str, start: int, end: int) -> str:
    """`text` between two offsets in UTF-16 code units."""
    raw = text.encode("utf-16-le", "surrogatepass")
    return raw[2 * start : 2 * end].decode("utf-16-le", "replace")


def is_inside_symbol(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` would part an emoji of several characters, a flag, an accented letter, a syllable."""
    return symbol_start(text, at) != at


def symbol_start(text: str, at: int) -> int:
    """Where the symbol begins that a cut before `text[at]` would part; `at` if it parts none.

    Symbols are the grapheme clusters of https://www.unicode.org/reports/tr29/; of one of more than
    `MAX_SYMBOL_CHARS` only the end is looked at.
    """
    if not 0 < at < len(text) or (text[at - 1 : at + 1].isascii() and text[at] != "\n"):
        return at
    if _is_flag(text[at]) and _is_flag(text[at - 1]):
        return at - 1 if _flags_before(text, at) % 2 == 1 else at
    begin = max(0, at - MAX_SYMBOL_CHARS)
    window = text[begin : at + 1]
    return begin + grapheme_boundary_before(window, len(window))


_MAX_FLAGS = 1_000


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _flags_before(text: str, at: int) -> int:
    """How many halves of flags stand directly before `at`; of very many, an even number."""
    for count in range(min(at, _MAX_FLAGS)):
        if not _is_flag(text[at - count - 1]):
            return count
    return min(at, _MAX_FLAGS)
