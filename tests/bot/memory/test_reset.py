"""Resets begin a new generation; archives of earlier conversations are kept and bounded."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from bot.memory.history import MAX_ARCHIVES, RedisHistory
from bot.memory.sessions import Sessions
from bot.settings import Settings
from tests.bot.memory.history_harness import KEY, read_turn_ids, write_turns


async def test_reset_forgets_and_new_keeps_for_export(history: RedisHistory, redis: Redis) -> None:
    sessions = Sessions(redis, history)
    await write_turns(history, "a", "b")
    kept = (await history.read(KEY)).conversation_id
    assert await history.reset(KEY, keep=True) == 2
    await write_turns(history, "c")
    assert await history.reset(KEY) == 1
    data = await sessions.export(KEY)
    assert data["turns"] == []
    assert {name: [turn["id"] for turn in turns] for name, turns in data["earlier"].items()} == {
        kept: ["a", "b"]
    }


async def test_two_resets_at_once_lose_no_archive(
    history: RedisHistory, redis: Redis, settings: Settings
) -> None:
    """The second had looked before the first was done, and a turn came in between."""
    await write_turns(history, "a")
    slow = SlowClient(redis)
    other = RedisHistory(slow, settings.bot_redis_prefix, timedelta(days=1))
    resetting = asyncio.create_task(other.reset(KEY, keep=True))
    await slow.reached.wait()
    await history.reset(KEY, keep=True)
    await write_turns(history, "b")
    slow.go.set()
    await resetting
    earlier = (await Sessions(redis, history).export(KEY))["earlier"]
    assert [[turn["id"] for turn in turns] for turns in earlier.values()] == [["b"], ["a"]]


class SlowClient:
    """A client that waits after its first look."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def hmget(self, *args: Any) -> Any:
        found = await self._client.hmget(*args)
        self.reached.set()
        await self.go.wait()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


async def test_archives_are_bounded_and_the_oldest_is_dropped(
    history: RedisHistory, redis: Redis
) -> None:
    for number in range(MAX_ARCHIVES + 3):
        await write_turns(history, str(number))
        await history.reset(KEY, keep=True)
    earlier = (await Sessions(redis, history).export(KEY))["earlier"]
    names = [turns[0]["id"] for turns in earlier.values()]
    assert names == [str(number) for number in range(MAX_ARCHIVES + 2, 2, -1)]
    assert len(await redis.keys("*old:*")) == MAX_ARCHIVES


async def test_a_reset_with_the_same_request_id_happens_once(history: RedisHistory) -> None:
    await write_turns(history, "a", "b")
    assert await history.reset(KEY, request_id="c1") == 2
    await write_turns(history, "c")
    assert await history.reset(KEY, request_id="c1") == 2
    assert await read_turn_ids(history) == ["c"]
