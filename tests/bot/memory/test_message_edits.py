"""Edits and deletions of messages reach the stored turns, also while a turn is being written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from redis.asyncio import Redis

from bot.conversation import Overheard, Speaker
from bot.memory.history import RedisHistory
from bot.ports import TurnWrite
from bot.prompt.transcript import tokens_of
from tests.bot.memory.history_harness import KEY, make_turn, read_turn_ids, write_turns
from tests.support.messages import make_message


async def test_an_edited_message_is_read_with_its_new_text(history: RedisHistory) -> None:
    past = await history.read(KEY)
    two = make_turn("a", past, make_message("and this", KEY, message_id="m-2"))
    await history.append(TurnWrite(two, tokens=tokens_of(two)))
    await history.edit_message(KEY, "m-2", "and " + "😀" * 500)
    (item,) = (await history.read(KEY)).window
    assert [message.text for message in item.turn.incoming] == ["question a", "and " + "😀" * 500]
    assert item.tokens == tokens_of(item.turn)
    assert await history.edit_message(KEY, "unknown", "x") is None


async def test_seeded_messages_can_be_edited_and_deleted(history: RedisHistory) -> None:
    past = await history.read(KEY)
    seed = tuple(Overheard(Speaker("U2"), word, f"s-{word}") for word in ("one", "two", "three"))
    turn = make_turn("a", past)
    turn = replace(turn, incoming=(replace(turn.incoming[0], seed=seed),))
    await history.append(TurnWrite(turn, tokens=tokens_of(turn)))
    await history.edit_message(KEY, "s-one", "ONE")
    await history.delete_message(KEY, "s-two")
    (item,) = (await history.read(KEY)).window
    assert [seeded.text for seeded in item.turn.incoming[0].seed] == ["ONE", "three"]
    assert item.turn.incoming[0].text == "question a"
    await history.append(TurnWrite(turn, tokens=tokens_of(turn)))
    (item,) = (await history.read(KEY)).window
    assert [seeded.text for seeded in item.turn.incoming[0].seed] == ["ONE", "three"]
    assert await history.find(KEY, "s-two") is None


async def test_a_deleted_message_is_gone_and_with_the_last_one_its_turn(
    history: RedisHistory,
) -> None:
    past = await history.read(KEY)
    two = make_turn("a", past, make_message("and this", KEY, message_id="m-2"))
    await history.append(TurnWrite(two, tokens=tokens_of(two)))
    await write_turns(history, "b")
    assert await history.delete_message(KEY, "m-2") == two
    first = (await history.read(KEY)).window[0].turn
    assert [message.message_id for message in first.incoming] == ["m-a"]
    assert await history.find(KEY, "m-2") is None
    await history.delete_message(KEY, "m-a")
    assert await read_turn_ids(history) == ["b"]
    assert await history.delete_message(KEY, "m-a") is None


async def test_no_byte_of_a_deleted_message_stays_on_the_server(
    history: RedisHistory, redis: Redis
) -> None:
    past = await history.read(KEY)
    await history.append(
        TurnWrite(make_turn("a", past, make_message("pineapple", KEY, message_id="m-2")), tokens=9)
    )
    await history.append(TurnWrite(make_turn("b", past), tokens=9))
    await history.fold(await history.read(KEY), KEY, summary="They like pineapple.", to=1)
    await history.delete_message(KEY, "m-2")
    for key in await redis.keys("*"):
        assert b"pineapple" not in await redis.dump(key)


async def test_deleting_the_bots_own_answer_deletes_its_turn(history: RedisHistory) -> None:
    past = await history.read(KEY)
    await history.append(TurnWrite(make_turn("a", past, answer_ids=("x1", "x2")), tokens=9))
    found = await history.find(KEY, "x2")
    assert found is not None
    assert found.id == "a"
    await history.delete_message(KEY, "x1")
    assert await read_turn_ids(history) == []
    assert await history.find(KEY, "x2") is None


async def test_a_turn_deleted_while_it_is_answered_again_stays_deleted(
    history: RedisHistory,
) -> None:
    (turn,) = await write_turns(history, "a")
    past = await history.read(KEY)
    await history.delete_message(KEY, "m-a")
    await history.append(TurnWrite(make_turn("a2", past), tokens=9, replaces="a"))
    await history.append(TurnWrite(turn, tokens=9))
    assert await read_turn_ids(history) == []


async def test_an_edit_while_the_answer_is_handed_over_is_not_lost(history: RedisHistory) -> None:
    (turn,) = await write_turns(history, "a")
    await history.edit_message(KEY, "m-a", "my name is Ada")
    delivered = turn.ended("complete", turn.answer, answer_ids=("x1",))
    await history.append(TurnWrite(delivered, tokens=tokens_of(delivered)))
    (item,) = (await history.read(KEY)).window
    assert item.turn.incoming[0].text == "my name is Ada"
    assert item.turn.answer_ids == ("x1",)
    assert item.tokens == tokens_of(item.turn)
    await history.append(TurnWrite(make_turn("a2"), tokens=9, replaces="a"))
    (item,) = (await history.read(KEY)).window
    assert (item.turn.id, item.turn.incoming[0].text) == ("a2", "my name is Ada")


async def test_edits_and_writes_at_once_lose_nothing(history: RedisHistory) -> None:
    (turn,) = await write_turns(history, "a")
    await write_turns(history, "b")

    async def edit_message(number: int) -> None:
        await history.edit_message(KEY, "m-a", f"edit {number}")

    async def write(number: int) -> None:
        done = turn.ended("complete", "answer", answer_ids=("x",))
        await history.append(TurnWrite(done, tokens=9))
        await write_turns(history, f"n{number}")

    await asyncio.gather(*(work(number) for number in range(25) for work in (edit_message, write)))
    await history.edit_message(KEY, "m-a", "the last edit")
    past = await history.read(KEY)
    assert past.window[0].turn.incoming[0].text == "the last edit"
    assert past.window[0].turn.answer_ids == ("x",)
    assert sorted(item.turn.id for item in past.window[2:]) == sorted(f"n{n}" for n in range(25))


async def test_an_undo_of_a_turn_that_changed_meanwhile_does_nothing(history: RedisHistory) -> None:
    await write_turns(history, "a", "b")
    last = (await history.read(KEY)).window[-1]
    assert await history.forget_turn(KEY, last)
    assert not await history.forget_turn(KEY, last)
    assert await read_turn_ids(history) == ["a"]
