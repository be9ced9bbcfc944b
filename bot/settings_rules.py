"""What a setting may be, and which settings cannot stand together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from bot.settings import Settings


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


def contradictions(settings: Settings) -> list[str]:
    """What is asked for and could never be, one line each."""
    found = []
    if settings.bot_wait_for_replicas and settings.redis_url is None:
        found.append("BOT_WAIT_FOR_REPLICAS needs REDIS_URL: the embedded server has no replicas")
    if settings.bot_fallback_model is None:
        found += [
            f"{name.upper()} needs BOT_FALLBACK_MODEL: without it none is asked"
            for name in ("bot_fallback_base_url", "bot_fallback_api_key")
            if getattr(settings, name) is not None
        ]
    elif settings.uses_local_model:
        found.append(
            "BOT_FALLBACK_MODEL needs OPENAI_API_KEY or OPENAI_BASE_URL: the local model has no fallback"
        )
    return found
