"""Text helpers: control characters of untrusted text, UTF-16 lengths, whole symbols."""

from __future__ import annotations

import json

import pytest

from bot.text import (
    is_inside_symbol,
    readable_json,
    strip_controls,
    utf16_length,
    utf16_slice,
)


def test_control_characters_are_stripped_and_escaped_in_json() -> None:
    words = "a\x1b]0;title\x07b\u202ec\td\ne\r\x9b2J\x7fé"
    assert strip_controls(words) == "a]0;titlebc\td\ne2Jé"
    shown = readable_json({"words": words})
    assert strip_controls(shown) == shown
    assert json.loads(shown) == {"words": words}, "what programs read is whole"


@pytest.mark.parametrize(
    ("text", "length"), [("", 0), ("abc", 3), ("é", 1), ("😀a", 3), ("\ud83d", 1)]
)
def test_utf16_length_counts_code_units(text: str, length: int) -> None:
    assert utf16_length(text) == length


def test_utf16_slice_cuts_at_code_units() -> None:
    assert utf16_slice("a😀b", 1, 3) == "😀"
    assert utf16_slice("a😀b", 3, 4) == "b"


@pytest.mark.parametrize(
    ("text", "cuts"),
    [
        ("ab", [0, 1, 2]),
        ("👩‍👧!", [0, 3, 4]),
        ("👍🏽!", [0, 2, 3]),
        ("e\u0301x", [0, 2, 3]),
        ("🇩🇪🇫🇷", [0, 2, 4]),
        ("x🇩🇪", [0, 1, 3]),
    ],
)
def test_a_symbol_of_several_characters_is_one(text: str, cuts: list[int]) -> None:
    assert [at for at in range(len(text) + 1) if not is_inside_symbol(text, at)] == cuts


def test_very_many_flags_cost_little() -> None:
    text = "🇩🇪" * 100_000
    assert not is_inside_symbol(text, 100_000)
