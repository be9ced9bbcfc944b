"""M7: `keepthread doctor` names the last summary that failed, with its cause and cure."""

from __future__ import annotations

import json

from redis.asyncio import Redis

from bot.memory.compaction import FAILURE_NOTE
from bot.memory.doctor import check
from bot.settings import Settings
from bot.storage.key_value import RedisKeyValueStore


async def test_the_last_failure_is_a_warning_with_its_cure(
    redis: Redis, settings: Settings
) -> None:
    """M7: a word in `doctor`."""
    assert await check(settings) == []
    note = {
        "at": 1_767_225_600,
        "error": "ModelQuotaSpent('x')",
        "cure": "Add credit.",
        "failures": 3,
    }
    store = RedisKeyValueStore(redis, settings.bot_redis_prefix)
    await store.set(FAILURE_NOTE, json.dumps(note), ttl_s=60)
    (found,) = await check(settings)
    assert (found.name, found.state) == ("summaries", "warning")
    assert found.detail == (
        "a conversation could not be summarised, last at 2026-01-01 00:00 UTC: ModelQuotaSpent('x')"
    )
    assert found.cure.startswith("Add credit. Look for `history not folded` in the log.")


async def test_without_redis_nothing_is_said_of_summaries(settings: Settings) -> None:
    assert await check(Settings.load(redis_url="redis://127.0.0.1:1")) == []
