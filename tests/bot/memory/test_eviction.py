"""Conversations go on after a full server evicted a part of them."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.memory.history import RedisHistory
from bot.ports import TurnWrite
from tests.bot.memory.history_harness import KEY, make_turn, read_turn_ids, write_turns


async def evict(redis: Redis, history: RedisHistory, part: str) -> None:
    assert await redis.delete(history.keys.of(KEY, part)) == 1


async def test_a_turn_is_written_though_the_state_was_evicted_under_it(
    history: RedisHistory, redis: Redis
) -> None:
    await write_turns(history, "a", "b")
    past = await history.read(KEY)
    await evict(redis, history, "state")
    await history.append(TurnWrite(make_turn("c", past), tokens=9))
    now = await history.read(KEY)
    assert [item.turn.id for item in now.window] == ["c"]
    assert now.conversation_id == past.conversation_id


async def test_no_id_leads_to_a_wrong_turn_after_an_eviction(
    history: RedisHistory, redis: Redis
) -> None:
    await write_turns(history, "a", "b")
    await evict(redis, history, "state")
    await write_turns(history, "c")
    assert await history.find(KEY, "m-a") is None
    assert (await history.read(KEY, turn_id="a")).known is None


@pytest.mark.parametrize("part", ["turns", "index"])
async def test_a_conversation_goes_on_when_a_part_of_it_was_evicted(
    history: RedisHistory, redis: Redis, part: str
) -> None:
    await write_turns(history, "a", "b")
    await evict(redis, history, part)
    await history.edit_message(KEY, "m-a", "x")
    await write_turns(history, "c")
    assert (await read_turn_ids(history))[-1] == "c"
    assert await history.reset(KEY) > 0
