"""What others wrote, on its way to a terminal: shown as it is, it steers nothing."""

from __future__ import annotations

import json
import re
from typing import Any

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""All but tab and line feed, and the overrides of the direction of writing (UAX #9)."""


def plain(text: str) -> str:
    """`text` without what moves a cursor, recolours or reorders."""
    return _CONTROLS.sub("", text)


def plain_json(data: Any) -> str:
    """`data` as JSON that people can read. Nothing is left out: what steers terminals is escaped."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
