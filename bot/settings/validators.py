"""Validators of single settings."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def split_list(value: object) -> object:
    """Items of a list setting: text is split at commas and blanks, anything else passes."""
    if isinstance(value, str):
        return tuple(filter(None, re.split(r"[,\s]+", value)))
    return value


def is_http_url(url: str) -> bool:
    """Whether it is an HTTP address with a host, and a port that exists."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # a port that is none, an unpaired bracket
        return False


def is_access_pattern(item: str, *, of_person: bool = False) -> bool:
    """Whether bot/access.py can read it. `*` is everybody of a platform, and no person's id."""
    everybody = "" if of_person else r"\*|"
    return re.fullmatch(rf"[a-z]+:({everybody}[^:/\s*]+(/[^:/\s*]+)?)", item) is not None
