"""Check of summaries for `keepthread doctor`: the last failure that a compactor noted."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from bot.errors import KeepthreadError
from bot.memory.compaction import FAILURE_NOTE
from bot.ports import Check
from bot.settings import Settings
from bot.storage.client import connect
from bot.storage.key_value import RedisKeyValueStore

CURE = "Look for `history not folded` in the log. Old turns are kept as extracts until it works."


async def check(settings: Settings) -> list[Check]:
    """A warning if a conversation could not be summarised within the last day, else nothing."""
    try:
        link = await connect(settings)
    except KeepthreadError:  # the check of Redis says so
        return []
    try:
        note = await RedisKeyValueStore(link.client, settings.bot_redis_prefix).get(FAILURE_NOTE)
    except KeepthreadError:
        return []
    finally:
        await link.aclose()
    return [_warning(note)] if note else []


def _warning(note: str) -> Check:
    found = json.loads(note)
    at = datetime.fromtimestamp(found["at"], UTC)
    detail = (
        f"a conversation could not be summarised, last at {at:%Y-%m-%d %H:%M} UTC: {found['error']}"
    )
    return Check("summaries", "warning", detail, f"{found['cure']} {CURE}".strip())
