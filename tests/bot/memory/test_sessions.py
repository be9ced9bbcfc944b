"""Administration of conversations: list, read, export, forget."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.errors import Overtaken
from bot.memory.history import RedisHistory
from bot.memory.sessions import PAGE_TURNS, Sessions
from bot.ports import TurnWrite
from tests.bot.memory.sessions_harness import KEY, OTHER, write_turns


async def test_conversations_are_listed_the_latest_used_first(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await write_turns(history, KEY, "a", "b")
    await write_turns(history, OTHER, "c")
    await redis.hset(history.keys.of(KEY, "state"), "used", "5")
    found = await sessions.list()
    assert [(info.session, info.turns) for info in found] == [(OTHER, 1), (KEY, 2)]
    assert found[1].used_at.timestamp() == 5
    assert found[0].born_at.tzinfo is not None


async def test_keys_of_other_programs_under_the_prefix_are_ignored(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await write_turns(history, KEY, "a")
    prefix = history.keys.prefix.encode()
    for name in (b"nobody", b"a/b/c", b"a/b/c/%7e", b"\xff\xfe/b/c/"):
        await redis.set(prefix + b":{" + name + b"}:state", "x", ex=100)
    await redis.hset("elsewhere:{a/b/c/d}:state", "gen", "1")
    await redis.expire("elsewhere:{a/b/c/d}:state", 100)
    assert [info.session for info in await sessions.list()] == [KEY]


async def test_totals_count_one_account_only(sessions: Sessions, history: RedisHistory) -> None:
    await write_turns(history, KEY, "a", "b")
    await write_turns(history, SessionKey("telegram", "8", "1"), "c")
    assert await sessions.totals("telegram", "7") == (1, 2)
    assert await sessions.totals("slack", "7") == (0, 0)


async def test_getting_the_facts_begins_no_conversation(sessions: Sessions, redis: Redis) -> None:
    assert await sessions.get(KEY) is None
    assert [turn async for turn in sessions.turns(KEY)] == []
    assert (await sessions.export(KEY))["turns"] == []
    await sessions.leave(KEY)
    assert await sessions.forget(KEY) == 0
    assert await redis.keys("*") == []


async def test_all_turns_are_read_in_order_also_those_outside_the_window(
    sessions: Sessions, history: RedisHistory
) -> None:
    names = [str(number) for number in range(PAGE_TURNS + 7)]
    await write_turns(history, KEY, *names)
    past = await history.read(KEY)
    await history.fold(past, KEY, summary="They counted.", to=PAGE_TURNS)
    await history.delete_message(KEY, "m-3")
    await history.fold(await history.read(KEY), KEY, summary="They counted.", to=PAGE_TURNS)
    assert [turn.id async for turn in sessions.turns(KEY)] == [n for n in names if n != "3"]
    info = await sessions.get(KEY)
    assert info is not None
    assert info.turns == len(names) - 1
    assert info.summary == "They counted."


async def test_an_export_holds_all_stored_data(sessions: Sessions, history: RedisHistory) -> None:
    await write_turns(history, KEY, "a", "b")
    old = (await history.read(KEY)).conversation_id
    await history.reset(KEY, keep=True)
    await write_turns(history, KEY, "c")
    data = await sessions.export(KEY)
    assert SessionKey.parse(data["session"]) == KEY
    assert data["conversation_id"] == (await history.read(KEY)).conversation_id
    assert [turn["answer"] for turn in data["turns"]] == ["said c"]
    assert [turn["answer"] for turn in data["earlier"][old]] == ["said a", "said b"]


async def test_forgetting_leaves_no_byte_of_the_messages(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await write_turns(history, KEY, "pineapple")
    await history.reset(KEY, keep=True)
    await write_turns(history, KEY, "mango")
    await history.fold(await history.read(KEY), KEY, summary="They like mango.", to=1)
    assert await sessions.forget(KEY) == 1
    for key in await redis.keys("*"):
        assert b"mango" not in await redis.dump(key)
        assert b"pineapple" not in await redis.dump(key)
    assert await sessions.list() == []
    assert not await sessions.takes_part(KEY)


async def test_a_turn_that_still_runs_writes_nothing_into_a_forgotten_conversation(
    sessions: Sessions, history: RedisHistory
) -> None:
    await write_turns(history, KEY, "a")
    past = await history.read(KEY)
    await sessions.forget(KEY)
    said = Incoming(Address(KEY), Speaker("1"), "late")
    late = Turn("late", (said,)).ended("complete", "x", generation=past.generation)
    with pytest.raises(Overtaken):
        await history.append(TurnWrite(late, tokens=5))


async def test_the_bot_takes_part_from_its_first_answer_until_it_is_sent_away(
    sessions: Sessions, history: RedisHistory
) -> None:
    assert not await sessions.takes_part(KEY)
    await write_turns(history, KEY, "a")
    assert await sessions.takes_part(KEY)
    await history.reset(KEY)
    assert await sessions.takes_part(KEY)
    await sessions.leave(KEY)
    assert not await sessions.takes_part(KEY)
    await write_turns(history, KEY, "b")
    assert await sessions.takes_part(KEY)
