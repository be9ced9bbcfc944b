"""Text helpers: control characters of untrusted text."""

from __future__ import annotations

import json

from bot.text import readable_json, strip_controls


def test_control_characters_are_stripped_and_escaped_in_json() -> None:
    words = "a\x1b]0;title\x07b\u202ec\td\ne\r\x9b2J\x7fé"
    assert strip_controls(words) == "a]0;titlebc\td\ne2Jé"
    shown = readable_json({"words": words})
    assert strip_controls(shown) == shown
    assert json.loads(shown) == {"words": words}, "what programs read is whole"
