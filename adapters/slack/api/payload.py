"""Type-safe reads of fields in Slack's JSON: a value of a wrong type counts as missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.text import clean_text

Json = Mapping[str, Any]

UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""Exceptions that Bolt, which reads a payload first, raises for shapes that Slack never sends."""


def get_text(data: Json, name: str) -> str:
    """A text or a number, as text without lone surrogates; else ""."""
    value = data.get(name)
    if isinstance(value, str):
        return clean_text(value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def get_object(data: Json, name: str) -> Json:
    """An object, or an empty one."""
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}


def get_objects(data: Json, name: str) -> tuple[Json, ...]:
    """The objects in a list."""
    value = data.get(name)
    if not isinstance(value, list | tuple):
        return ()
    return tuple(item for item in value if isinstance(item, Mapping))
