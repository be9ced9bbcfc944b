"""Migration of conversations to another session key, while turns run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bot.conversation import SessionKey
from bot.errors import Overtaken
from bot.memory.history import RedisHistory
from bot.memory.sessions import Sessions
from bot.ports import TurnWrite
from tests.bot.memory.sessions_harness import KEY, make_turn, write_turns

NEW_PLACE = SessionKey("telegram", "7", "-100200", "3")


async def test_a_conversation_moves_with_all_that_belongs_to_it(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await write_turns(history, KEY, "old")
    await history.reset(KEY, keep=True)
    await write_turns(history, KEY, "a", "b")
    before = await sessions.export(KEY)
    assert await sessions.migrate(KEY, NEW_PLACE)
    after = await sessions.export(NEW_PLACE)
    assert after == {**before, "session": str(NEW_PLACE)}
    assert next(iter(after["earlier"].values()))[0]["id"] == "old"
    assert await history.find(NEW_PLACE, "m-a") is not None
    assert await redis.keys(f"*{{{KEY}}}*") == [history.keys.of(KEY, "state").encode()]
    for key in await redis.keys("*"):
        assert 0 < await redis.ttl(key) <= 86400
    assert not await sessions.migrate(KEY, NEW_PLACE)
    assert await sessions.get(KEY) is None


@pytest.mark.parametrize("begun", ["nothing", "a talk", "a talk after a reset"])
async def test_a_turn_that_runs_during_a_migration_is_written_to_the_new_place(
    sessions: Sessions, history: RedisHistory, begun: str
) -> None:
    if begun != "nothing":
        await write_turns(history, KEY, "a")
    if begun == "a talk after a reset":
        await history.reset(KEY)
        await write_turns(history, KEY, "a")
    past = await history.read(KEY, fence=7)
    await sessions.migrate(KEY, NEW_PLACE)
    await write_turns(history, NEW_PLACE, "c")
    running = replace(make_turn(KEY, "b"), generation=past.generation)
    await history.append(TurnWrite(running, tokens=1, fence=7))
    assert not await sessions.migrate(KEY, NEW_PLACE)  # told twice
    expected = ["c", "b"] if begun == "nothing" else ["a", "c", "b"]
    for place in (KEY, NEW_PLACE):
        window = (await history.read(place, turn_id="b", fence=7)).window
        assert [item.turn.id for item in window] == expected
    assert (await history.read(KEY, turn_id="b")).known is not None


async def test_a_turn_that_runs_during_a_migration_is_forgotten_by_a_reset_there(
    sessions: Sessions, history: RedisHistory
) -> None:
    await write_turns(history, KEY, "a")
    past = await history.read(KEY)
    await sessions.migrate(KEY, NEW_PLACE)
    await history.reset(NEW_PLACE)
    with pytest.raises(Overtaken):
        await history.append(
            TurnWrite(replace(make_turn(KEY, "b"), generation=past.generation), tokens=1)
        )
    assert (await history.read(NEW_PLACE)).window == ()


async def test_turns_of_the_new_place_come_after_the_migrated_ones(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await write_turns(history, KEY, "a", "b")
    await write_turns(history, NEW_PLACE, "c")
    assert await sessions.migrate(KEY, NEW_PLACE)
    assert [turn.id async for turn in sessions.turns(NEW_PLACE)] == ["a", "b", "c"]
    window = (await history.read(NEW_PLACE)).window
    assert [item.turn.id for item in window] == ["a", "b", "c"]
    found = await history.find(NEW_PLACE, "m-c")
    assert found is not None
    assert found.id == "c"
    await write_turns(history, NEW_PLACE, "d")
    assert [turn.id async for turn in sessions.turns(NEW_PLACE)] == ["a", "b", "c", "d"]
    assert await redis.keys(f"*{{{KEY}}}*") == [history.keys.of(KEY, "state").encode()]
    assert not await sessions.migrate(KEY, NEW_PLACE)
