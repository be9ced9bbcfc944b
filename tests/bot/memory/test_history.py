"""History on a real server: turns are written once, in order, and only by the newest worker and generation."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from bot.conversation import SessionKey
from bot.errors import Overtaken
from bot.memory.history import RedisHistory
from bot.memory.sessions import Sessions
from bot.ports import TurnWrite
from bot.prompt.transcript import tokens_of
from bot.settings import Settings
from tests.bot.memory.history_harness import KEY, TTL_S, make_turn, read_turn_ids, write_turns
from tests.support.wait import wait_until


async def test_turns_are_read_in_the_order_they_were_written(history: RedisHistory) -> None:
    turns = await write_turns(history, "a", "b", "c")
    past = await history.read(KEY)
    assert [item.turn for item in past.window] == turns
    assert [item.seq for item in past.window] == [0, 1, 2]
    assert [item.tokens for item in past.window] == [tokens_of(turn) for turn in turns]
    assert past.next_seq == 3


async def test_a_new_conversation_is_empty_and_keeps_its_id(
    history: RedisHistory,
) -> None:
    past = await history.read(KEY)
    assert past.window == ()
    assert past.generation == past.next_seq == 0
    assert (await history.read(KEY)).conversation_id == past.conversation_id


async def test_two_threads_never_share_a_history(history: RedisHistory) -> None:
    await write_turns(history, "a")
    other = SessionKey("slack", "T1", "C1", "1.3")
    past = await history.read(other)
    assert past.window == ()
    assert past.conversation_id != (await history.read(KEY)).conversation_id


async def test_a_turn_written_twice_is_there_once_as_it_was_written_last(
    history: RedisHistory,
) -> None:
    (turn,) = await write_turns(history, "a")
    await history.append(TurnWrite(turn.ended("complete", "better"), tokens=7))
    past = await history.read(KEY)
    assert [(item.seq, item.turn.answer, item.tokens) for item in past.window] == [(0, "better", 7)]


async def test_a_turn_written_by_many_at_once_is_stored_once(
    history: RedisHistory,
) -> None:
    past = await history.read(KEY)
    await asyncio.gather(
        *(history.append(TurnWrite(make_turn("a", past), tokens=9)) for _ in range(20))
    )
    assert await read_turn_ids(history) == ["a"]


async def test_a_redelivered_turn_is_recognised(history: RedisHistory) -> None:
    (turn,) = await write_turns(history, "a")
    assert (await history.read(KEY, turn_id="a")).known == turn
    assert (await history.read(KEY, turn_id="b")).known is None


async def test_a_turn_of_an_earlier_generation_writes_nothing(history: RedisHistory) -> None:
    past = await history.read(KEY)
    await history.reset(KEY)
    with pytest.raises(Overtaken) as caught:
        await history.append(TurnWrite(make_turn("late", past), tokens=9))
    assert caught.value.by_reset
    assert await read_turn_ids(history) == []
    await write_turns(history, "fresh")
    assert await read_turn_ids(history) == ["fresh"]


async def test_an_older_worker_can_neither_read_nor_write(history: RedisHistory) -> None:
    past = await history.read(KEY, fence=5)
    await history.read(KEY, fence=6)
    with pytest.raises(Overtaken):
        await history.read(KEY, fence=5)
    with pytest.raises(Overtaken) as caught:
        await history.append(TurnWrite(make_turn("old", past), tokens=9, fence=5))
    assert not caught.value.by_reset
    await history.append(TurnWrite(make_turn("new", past), tokens=9, fence=6))
    await history.append(TurnWrite(make_turn("newer", past), tokens=9, fence=7))
    assert await read_turn_ids(history) == ["new", "newer"]


async def test_a_fence_outlives_a_reset(history: RedisHistory) -> None:
    await history.read(KEY, fence=6)
    await history.reset(KEY)
    with pytest.raises(Overtaken):
        await history.read(KEY, fence=5)
    with pytest.raises(Overtaken):
        await history.reset(KEY, fence=5)


async def test_an_overheard_message_is_stored_in_whatever_generation(
    history: RedisHistory,
) -> None:
    await history.reset(KEY)
    await history.append(TurnWrite(make_turn("o").ended("overheard", ""), tokens=5))
    (item,) = (await history.read(KEY)).window
    assert (item.turn.state, item.turn.answer) == ("overheard", "")


async def test_an_overheard_message_does_not_bring_back_a_bot_that_left(
    history: RedisHistory, redis: Redis
) -> None:
    sessions = Sessions(redis, history)
    await write_turns(history, "a")
    await sessions.leave(KEY)
    await history.append(TurnWrite(make_turn("o").ended("overheard", ""), tokens=5))
    assert not await sessions.takes_part(KEY)
    await write_turns(history, "b")
    assert await sessions.takes_part(KEY)


async def test_a_new_answer_takes_the_place_of_the_old(history: RedisHistory) -> None:
    await write_turns(history, "a", "b")
    past = await history.read(KEY)
    await history.append(TurnWrite(make_turn("b2", past), tokens=9, replaces="b"))
    await history.append(TurnWrite(make_turn("b2", past), tokens=9, replaces="b"))
    assert await read_turn_ids(history) == ["a", "b2"]
    assert (await history.read(KEY, turn_id="b")).known is None


async def test_the_first_question_answered_again_stays_in_the_window(
    history: RedisHistory,
) -> None:
    """Its prompt had no past, so its window begins at the next number: it must not fall out."""
    await write_turns(history, "a")
    past = await history.read(KEY)
    await history.append(
        TurnWrite(make_turn("a2", past), tokens=9, replaces="a", first_seq=past.next_seq)
    )
    assert await read_turn_ids(history) == ["a2"]


async def test_every_key_gets_its_time_to_live_anew_with_each_write(
    history: RedisHistory, redis: Redis
) -> None:
    await write_turns(history, "a")
    await history.reset(KEY, keep=True)
    await write_turns(history, "b")
    present = [key for key in await redis.keys("*") if b":old:" not in key]
    assert len(present) == 3
    for key in present:
        await redis.expire(key, 100)
    await write_turns(history, "c")
    for key in present:
        assert TTL_S - 60 < await redis.ttl(key) <= TTL_S
    await history.edit_message(KEY, "m-b", "x")
    await history.delete_message(KEY, "m-b")
    for key in await redis.keys("*"):
        assert await redis.ttl(key) > 0


async def test_a_conversation_expires_after_its_time_to_live(
    redis: Redis, settings: Settings
) -> None:
    short = RedisHistory(redis, settings.bot_redis_prefix, timedelta(minutes=5))
    await write_turns(short, "a")
    for key in await redis.keys("*"):
        assert 0 < await redis.ttl(key) <= 300
        await redis.pexpire(key, 1)

    async def it_is_gone() -> bool:
        return (await short.read(KEY)).window == ()

    await wait_until(it_is_gone)
