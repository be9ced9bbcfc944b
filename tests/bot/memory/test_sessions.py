"""Conversations seen from outside: listed, looked at, exported, moved and erased."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.errors import Overtaken
from bot.memory.history import RedisHistory
from bot.memory.sessions import PAGE_TURNS, Sessions
from bot.ports import TurnWrite
from bot.prompt.transcript import tokens_of
from bot.settings import Settings

KEY = SessionKey("telegram", "7", "-100", "3")
OTHER = SessionKey("slack", "T1", "C{1}/*", "1.2")
NEW_PLACE = SessionKey("telegram", "7", "-100200", "3")


@pytest.fixture
def history(redis: Redis, settings: Settings) -> RedisHistory:
    return RedisHistory(redis, settings.bot_redis_prefix, timedelta(days=1))


@pytest.fixture
def sessions(redis: Redis, history: RedisHistory) -> Sessions:
    return Sessions(redis, history)


async def tell(history: RedisHistory, session: SessionKey, *names: str) -> None:
    past = await history.read(session)
    for name in names:
        turn = replace(
            turn_of(session, name),
            conversation_id=past.conversation_id,
            generation=past.generation,
        )
        await history.append(TurnWrite(turn, tokens=tokens_of(turn)))


def turn_of(session: SessionKey, name: str) -> Turn:
    said = Incoming(Address(session), Speaker("1", "Ada"), f"say {name}", f"m-{name}")
    return Turn(name, (said,)).ended("complete", f"said {name}")


async def test_conversations_are_listed_the_latest_used_first(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await tell(history, KEY, "a", "b")
    await tell(history, OTHER, "c")
    await redis.hset(history.keys.of(KEY, "state"), "used", "5")
    found = await sessions.list()
    assert [(info.session, info.turns) for info in found] == [(OTHER, 1), (KEY, 2)]
    assert found[1].used_at.timestamp() == 5
    assert found[0].born_at.tzinfo is not None


async def test_strangers_keys_under_our_prefix_are_left_alone(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await tell(history, KEY, "a")
    prefix = history.keys.prefix.encode()
    for name in (b"nobody", b"a/b/c", b"a/b/c/%7e", b"\xff\xfe/b/c/"):
        await redis.set(prefix + b":{" + name + b"}:state", "x", ex=100)
    await redis.hset("elsewhere:{a/b/c/d}:state", "gen", "1")
    await redis.expire("elsewhere:{a/b/c/d}:state", 100)
    assert [info.session for info in await sessions.list()] == [KEY]


async def test_totals_count_one_account_only(sessions: Sessions, history: RedisHistory) -> None:
    await tell(history, KEY, "a", "b")
    await tell(history, SessionKey("telegram", "8", "1"), "c")
    assert await sessions.totals("telegram", "7") == (1, 2)
    assert await sessions.totals("slack", "7") == (0, 0)


async def test_looking_begins_no_conversation(sessions: Sessions, redis: Redis) -> None:
    assert await sessions.get(KEY) is None
    assert [turn async for turn in sessions.turns(KEY)] == []
    assert (await sessions.export(KEY))["turns"] == []
    await sessions.leave(KEY)
    assert await sessions.forget(KEY) == 0
    assert await redis.keys("*") == []


async def test_all_turns_are_given_in_order_also_those_the_model_no_longer_sees(
    sessions: Sessions, history: RedisHistory
) -> None:
    names = [str(number) for number in range(PAGE_TURNS + 7)]
    await tell(history, KEY, *names)
    past = await history.read(KEY)
    await history.fold(past, KEY, summary="They counted.", to=PAGE_TURNS)
    await history.delete_message(KEY, "m-3")
    await history.fold(await history.read(KEY), KEY, summary="They counted.", to=PAGE_TURNS)
    assert [turn.id async for turn in sessions.turns(KEY)] == [n for n in names if n != "3"]
    info = await sessions.get(KEY)
    assert info is not None
    assert info.turns == len(names) - 1
    assert info.summary == "They counted."


async def test_an_export_holds_all_that_is_kept_in_plain_data(
    sessions: Sessions, history: RedisHistory
) -> None:
    await tell(history, KEY, "a", "b")
    old = (await history.read(KEY)).conversation_id
    await history.reset(KEY, keep=True)
    await tell(history, KEY, "c")
    data = await sessions.export(KEY)
    assert SessionKey.parse(data["session"]) == KEY
    assert data["conversation_id"] == (await history.read(KEY)).conversation_id
    assert [turn["answer"] for turn in data["turns"]] == ["said c"]
    assert [turn["answer"] for turn in data["earlier"][old]] == ["said a", "said b"]


async def test_forgetting_leaves_no_byte_of_what_was_said(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await tell(history, KEY, "pineapple")
    await history.reset(KEY, keep=True)
    await tell(history, KEY, "mango")
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
    await tell(history, KEY, "a")
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
    await tell(history, KEY, "a")
    assert await sessions.takes_part(KEY)
    await history.reset(KEY)
    assert await sessions.takes_part(KEY)
    await sessions.leave(KEY)
    assert not await sessions.takes_part(KEY)
    await tell(history, KEY, "b")
    assert await sessions.takes_part(KEY)


async def test_a_conversation_moves_with_all_that_belongs_to_it(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await tell(history, KEY, "old")
    await history.reset(KEY, keep=True)
    await tell(history, KEY, "a", "b")
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
async def test_a_turn_running_while_its_place_moves_is_remembered_in_the_new_one(
    sessions: Sessions, history: RedisHistory, begun: str
) -> None:
    if begun != "nothing":
        await tell(history, KEY, "a")
    if begun == "a talk after a reset":
        await history.reset(KEY)
        await tell(history, KEY, "a")
    past = await history.read(KEY, fence=7)
    await sessions.migrate(KEY, NEW_PLACE)
    await tell(history, NEW_PLACE, "c")
    running = replace(turn_of(KEY, "b"), generation=past.generation)
    await history.append(TurnWrite(running, tokens=1, fence=7))
    assert not await sessions.migrate(KEY, NEW_PLACE)  # told twice
    expected = ["c", "b"] if begun == "nothing" else ["a", "c", "b"]
    for place in (KEY, NEW_PLACE):
        window = (await history.read(place, turn_id="b", fence=7)).window
        assert [item.turn.id for item in window] == expected
    assert (await history.read(KEY, turn_id="b")).known is not None


async def test_a_turn_running_while_its_place_moves_is_forgotten_by_a_reset_in_the_new_one(
    sessions: Sessions, history: RedisHistory
) -> None:
    await tell(history, KEY, "a")
    past = await history.read(KEY)
    await sessions.migrate(KEY, NEW_PLACE)
    await history.reset(NEW_PLACE)
    with pytest.raises(Overtaken):
        await history.append(
            TurnWrite(replace(turn_of(KEY, "b"), generation=past.generation), tokens=1)
        )
    assert (await history.read(NEW_PLACE)).window == ()


async def test_turns_of_the_new_place_before_the_move_come_after_it(
    sessions: Sessions, history: RedisHistory, redis: Redis
) -> None:
    await tell(history, KEY, "a", "b")
    await tell(history, NEW_PLACE, "c")
    assert await sessions.migrate(KEY, NEW_PLACE)
    assert [turn.id async for turn in sessions.turns(NEW_PLACE)] == ["a", "b", "c"]
    window = (await history.read(NEW_PLACE)).window
    assert [item.turn.id for item in window] == ["a", "b", "c"]
    found = await history.find(NEW_PLACE, "m-c")
    assert found is not None
    assert found.id == "c"
    await tell(history, NEW_PLACE, "d")
    assert [turn.id async for turn in sessions.turns(NEW_PLACE)] == ["a", "b", "c", "d"]
    assert await redis.keys(f"*{{{KEY}}}*") == [history.keys.of(KEY, "state").encode()]
    assert not await sessions.migrate(KEY, NEW_PLACE)
