"""What a setting may be, and which settings cannot stand together."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def leads_somewhere(address: str) -> bool:
    """Whether it is an HTTP address with a host, and a port that exists."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # a port that is none, an unpaired bracket
        return False


def is_pattern(item: str, *, of_person: bool = False) -> bool:
    """Whether bot/access.py can read it. `*` is everybody of a platform, and nobody's name."""
    everybody = "" if of_person else r"\*|"
    return re.fullmatch(rf"[a-z]+:({everybody}[^:/\s*]+(/[^:/\s*]+)?)", item) is not None
