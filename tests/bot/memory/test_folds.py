"""Summaries replace the turns they cover, unless one of these was changed meanwhile."""

from __future__ import annotations

import pytest

from bot.memory.history import RedisHistory
from bot.ports import HistorySnapshot, TurnWrite
from tests.bot.memory.history_harness import KEY, make_turn, write_turns


async def folded(history: RedisHistory) -> HistorySnapshot:
    await write_turns(history, "a", "b", "c")
    assert await history.fold(await history.read(KEY), KEY, summary="They spoke.", to=2)
    past = await history.read(KEY)
    assert (past.summary, past.summarised_to, past.first_seq) == ("They spoke.", 2, 2)
    assert [item.turn.id for item in past.window] == ["c"]
    return past


@pytest.mark.parametrize("change", ["amend", "forget", "forget_turn", "replace"])
async def test_a_summary_is_dropped_when_a_turn_it_covers_changes(
    history: RedisHistory, change: str
) -> None:
    past = await folded(history)
    if change == "amend":
        await history.edit_message(KEY, "m-a", "something else")
    elif change == "forget":
        await history.delete_message(KEY, "m-a")
    elif change == "forget_turn":
        await history.forget_turn(KEY, (await history.between(KEY, 0, 1))[0])
    else:
        await history.append(TurnWrite(make_turn("a2", past), tokens=9, replaces="a"))
    now = await history.read(KEY)
    assert (now.summary, now.summarised_to) == ("", 0)
    assert [item.turn.id for item in now.window] == ["c"]


async def test_a_summary_stays_when_a_turn_it_does_not_cover_changes(history: RedisHistory) -> None:
    await folded(history)
    await history.edit_message(KEY, "m-c", "something else")
    assert (await history.read(KEY)).summary == "They spoke."


@pytest.mark.parametrize("change", ["amend", "forget", "replace"])
async def test_a_fold_of_turns_that_were_changed_meanwhile_changes_nothing(
    history: RedisHistory, change: str
) -> None:
    await write_turns(history, "a", "b", "c")
    past = await history.read(KEY)
    if change == "amend":
        await history.edit_message(KEY, "m-a", "something else")
    elif change == "forget":
        await history.delete_message(KEY, "m-a")
    else:
        await history.append(TurnWrite(make_turn("a2", past), tokens=9, replaces="a"))
    assert not await history.fold(past, KEY, summary="question a", to=2)
    assert (await history.read(KEY)).summary == ""


async def test_the_second_of_two_folds_at_once_changes_nothing(history: RedisHistory) -> None:
    await write_turns(history, "a", "b", "c")
    past = await history.read(KEY)
    assert await history.fold(past, KEY, summary="one", to=1)
    assert not await history.fold(past, KEY, summary="two", to=2)
    assert (await history.read(KEY)).summary == "one"


async def test_a_fold_of_a_conversation_that_was_reset_changes_nothing(
    history: RedisHistory,
) -> None:
    await write_turns(history, "a", "b")
    past = await history.read(KEY)
    await history.reset(KEY)
    assert not await history.fold(past, KEY, summary="old", to=1)
    assert (await history.read(KEY)).summary == ""
