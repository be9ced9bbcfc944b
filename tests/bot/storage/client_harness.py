"""Redis client harness: settings for an address, and a link that is tried."""

from __future__ import annotations

from typing import Any

from bot.settings import Settings
from bot.storage.client import RedisLink
from bot.storage.errors import store_errors

WORD = "pass" + "word"


def at(url: str | None, **more: Any) -> Settings:
    return Settings.load(redis_url=url, **more)


async def works(link: RedisLink) -> bool:
    with store_errors():
        await link.client.set("{k}a", b"\xff", ex=60)
        return bool(await link.client.get("{k}a") == b"\xff")
