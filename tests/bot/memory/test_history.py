"""Memory on a real server: nothing is lost, doubled or brought back, at a cost that does not grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import Incoming, Overheard, SessionKey, Speaker, Turn
from bot.errors import Overtaken
from bot.memory.codec import new_conversation_id
from bot.memory.history import MAX_ARCHIVES, RedisHistory
from bot.memory.sessions import Sessions
from bot.ports import HistorySnapshot, TurnWrite
from bot.prompt.builder import MAX_WINDOW_TURNS
from bot.prompt.transcript import tokens_of
from bot.settings import Settings
from tests.support.messages import make_message
from tests.support.wait import wait_until

KEY = SessionKey("slack", "T1", "C1", "1.2")
TTL_S = 90 * 24 * 3600


@pytest.fixture
def history(redis: Redis, settings: Settings) -> RedisHistory:
    return RedisHistory(redis, settings.bot_redis_prefix, timedelta(seconds=TTL_S))


def turn_of(
    name: str, past: HistorySnapshot | None = None, *more: Incoming, **changes: Any
) -> Turn:
    turn = Turn(name, (make_message(f"question {name}", KEY, message_id=f"m-{name}"), *more))
    return turn.ended(
        "complete",
        f"answer {name}",
        conversation_id=past.conversation_id if past else "",
        generation=past.generation if past else 0,
        **changes,
    )


async def tell(history: RedisHistory, *names: str, **more: Any) -> list[Turn]:
    past = await history.read(KEY)
    turns = [turn_of(name, past) for name in names]
    for turn in turns:
        await history.append(TurnWrite(turn, tokens=tokens_of(turn), **more))
    return turns


async def window(history: RedisHistory) -> list[str]:
    return [item.turn.id for item in (await history.read(KEY)).window]


async def test_turns_are_read_in_the_order_they_were_written(history: RedisHistory) -> None:
    turns = await tell(history, "a", "b", "c")
    past = await history.read(KEY)
    assert [item.turn for item in past.window] == turns
    assert [item.seq for item in past.window] == [0, 1, 2]
    assert [item.tokens for item in past.window] == [tokens_of(turn) for turn in turns]
    assert past.next_seq == 3


async def test_a_conversation_that_never_was_is_empty_and_keeps_its_id(
    history: RedisHistory,
) -> None:
    past = await history.read(KEY)
    assert past.window == ()
    assert past.generation == past.next_seq == 0
    assert (await history.read(KEY)).conversation_id == past.conversation_id


async def test_two_people_in_two_threads_never_share_a_memory(history: RedisHistory) -> None:
    await tell(history, "a")
    other = SessionKey("slack", "T1", "C1", "1.3")
    past = await history.read(other)
    assert past.window == ()
    assert past.conversation_id != (await history.read(KEY)).conversation_id


async def test_a_turn_written_twice_is_there_once_as_it_was_written_last(
    history: RedisHistory,
) -> None:
    (turn,) = await tell(history, "a")
    await history.append(TurnWrite(turn.ended("complete", "better"), tokens=7))
    past = await history.read(KEY)
    assert [(item.seq, item.turn.answer, item.tokens) for item in past.window] == [(0, "better", 7)]


async def test_writing_the_same_turn_from_many_places_at_once_writes_one(
    history: RedisHistory,
) -> None:
    past = await history.read(KEY)
    await asyncio.gather(
        *(history.append(TurnWrite(turn_of("a", past), tokens=9)) for _ in range(20))
    )
    assert await window(history) == ["a"]


async def test_a_redelivered_turn_is_recognised(history: RedisHistory) -> None:
    (turn,) = await tell(history, "a")
    assert (await history.read(KEY, turn_id="a")).known == turn
    assert (await history.read(KEY, turn_id="b")).known is None


async def test_a_turn_of_an_earlier_generation_writes_nothing(history: RedisHistory) -> None:
    past = await history.read(KEY)
    await history.reset(KEY)
    with pytest.raises(Overtaken) as caught:
        await history.append(TurnWrite(turn_of("late", past), tokens=9))
    assert caught.value.by_reset
    assert await window(history) == []
    await tell(history, "fresh")
    assert await window(history) == ["fresh"]


async def test_an_older_worker_can_neither_read_nor_write(history: RedisHistory) -> None:
    past = await history.read(KEY, fence=5)
    await history.read(KEY, fence=6)
    with pytest.raises(Overtaken):
        await history.read(KEY, fence=5)
    with pytest.raises(Overtaken) as caught:
        await history.append(TurnWrite(turn_of("old", past), tokens=9, fence=5))
    assert not caught.value.by_reset
    await history.append(TurnWrite(turn_of("new", past), tokens=9, fence=6))
    await history.append(TurnWrite(turn_of("newer", past), tokens=9, fence=7))
    assert await window(history) == ["new", "newer"]


async def test_a_fence_outlives_a_reset(history: RedisHistory) -> None:
    await history.read(KEY, fence=6)
    await history.reset(KEY)
    with pytest.raises(Overtaken):
        await history.read(KEY, fence=5)
    with pytest.raises(Overtaken):
        await history.reset(KEY, fence=5)


async def test_an_overheard_turn_is_remembered_in_any_generation(
    history: RedisHistory,
) -> None:
    await history.reset(KEY)
    await history.append(TurnWrite(turn_of("o").ended("overheard", ""), tokens=5))
    (item,) = (await history.read(KEY)).window
    assert (item.turn.state, item.turn.answer) == ("overheard", "")


async def test_an_overheard_message_does_not_bring_back_a_bot_that_was_sent_away(
    history: RedisHistory, redis: Redis
) -> None:
    sessions = Sessions(redis, history)
    await tell(history, "a")
    await sessions.leave(KEY)
    await history.append(TurnWrite(turn_of("o").ended("overheard", ""), tokens=5))
    assert not await sessions.takes_part(KEY)
    await tell(history, "b")
    assert await sessions.takes_part(KEY)


async def test_an_edited_message_is_read_as_it_is_now(history: RedisHistory) -> None:
    past = await history.read(KEY)
    two = turn_of("a", past, make_message("and this", KEY, message_id="m-2"))
    await history.append(TurnWrite(two, tokens=tokens_of(two)))
    await history.edit_message(KEY, "m-2", "and " + "😀" * 500)
    (item,) = (await history.read(KEY)).window
    assert [one.text for one in item.turn.incoming] == ["question a", "and " + "😀" * 500]
    assert item.tokens == tokens_of(item.turn)
    assert await history.edit_message(KEY, "unknown", "x") is None


async def test_memory_follows_what_was_said_before_the_bot_came(history: RedisHistory) -> None:
    past = await history.read(KEY)
    seed = tuple(Overheard(Speaker("U2"), word, f"s-{word}") for word in ("one", "two", "three"))
    turn = turn_of("a", past)
    turn = replace(turn, incoming=(replace(turn.incoming[0], seed=seed),))
    await history.append(TurnWrite(turn, tokens=tokens_of(turn)))
    await history.edit_message(KEY, "s-one", "ONE")
    await history.delete_message(KEY, "s-two")
    (item,) = (await history.read(KEY)).window
    assert [one.text for one in item.turn.incoming[0].seed] == ["ONE", "three"]
    assert item.turn.incoming[0].text == "question a"
    await history.append(TurnWrite(turn, tokens=tokens_of(turn)))
    (item,) = (await history.read(KEY)).window
    assert [one.text for one in item.turn.incoming[0].seed] == ["ONE", "three"]
    assert await history.find(KEY, "s-two") is None


async def test_a_deleted_message_is_gone_and_with_the_last_one_its_turn(
    history: RedisHistory,
) -> None:
    past = await history.read(KEY)
    two = turn_of("a", past, make_message("and this", KEY, message_id="m-2"))
    await history.append(TurnWrite(two, tokens=tokens_of(two)))
    await tell(history, "b")
    assert await history.delete_message(KEY, "m-2") == two
    first = (await history.read(KEY)).window[0].turn
    assert [one.message_id for one in first.incoming] == ["m-a"]
    assert await history.find(KEY, "m-2") is None
    await history.delete_message(KEY, "m-a")
    assert await window(history) == ["b"]
    assert await history.delete_message(KEY, "m-a") is None


async def test_no_byte_of_a_deleted_message_stays_on_the_server(
    history: RedisHistory, redis: Redis
) -> None:
    past = await history.read(KEY)
    await history.append(
        TurnWrite(turn_of("a", past, make_message("pineapple", KEY, message_id="m-2")), tokens=9)
    )
    await history.append(TurnWrite(turn_of("b", past), tokens=9))
    await history.fold(await history.read(KEY), KEY, summary="They like pineapple.", to=1)
    await history.delete_message(KEY, "m-2")
    for key in await redis.keys("*"):
        assert b"pineapple" not in await redis.dump(key)


async def test_deleting_the_bots_own_answer_deletes_its_turn(history: RedisHistory) -> None:
    past = await history.read(KEY)
    await history.append(TurnWrite(turn_of("a", past, answer_ids=("x1", "x2")), tokens=9))
    found = await history.find(KEY, "x2")
    assert found is not None
    assert found.id == "a"
    await history.delete_message(KEY, "x1")
    assert await window(history) == []
    assert await history.find(KEY, "x2") is None


async def folded(history: RedisHistory) -> HistorySnapshot:
    await tell(history, "a", "b", "c")
    assert await history.fold(await history.read(KEY), KEY, summary="They spoke.", to=2)
    past = await history.read(KEY)
    assert (past.summary, past.summarised_to, past.first_seq) == ("They spoke.", 2, 2)
    assert [item.turn.id for item in past.window] == ["c"]
    return past


@pytest.mark.parametrize("change", ["amend", "forget", "forget_turn", "replace"])
async def test_a_summary_of_what_was_changed_is_dropped(history: RedisHistory, change: str) -> None:
    past = await folded(history)
    if change == "amend":
        await history.edit_message(KEY, "m-a", "something else")
    elif change == "forget":
        await history.delete_message(KEY, "m-a")
    elif change == "forget_turn":
        await history.forget_turn(KEY, (await history.between(KEY, 0, 1))[0])
    else:
        await history.append(TurnWrite(turn_of("a2", past), tokens=9, replaces="a"))
    now = await history.read(KEY)
    assert (now.summary, now.summarised_to) == ("", 0)
    assert [item.turn.id for item in now.window] == ["c"]


async def test_a_summary_stays_when_what_it_does_not_cover_changes(history: RedisHistory) -> None:
    await folded(history)
    await history.edit_message(KEY, "m-c", "something else")
    assert (await history.read(KEY)).summary == "They spoke."


@pytest.mark.parametrize("change", ["amend", "forget", "replace"])
async def test_a_turn_changed_while_it_is_summarised_is_not_brought_back(
    history: RedisHistory, change: str
) -> None:
    await tell(history, "a", "b", "c")
    past = await history.read(KEY)
    if change == "amend":
        await history.edit_message(KEY, "m-a", "something else")
    elif change == "forget":
        await history.delete_message(KEY, "m-a")
    else:
        await history.append(TurnWrite(turn_of("a2", past), tokens=9, replaces="a"))
    assert not await history.fold(past, KEY, summary="question a", to=2)
    assert (await history.read(KEY)).summary == ""


async def test_of_two_who_fold_at_once_the_second_changes_nothing(history: RedisHistory) -> None:
    await tell(history, "a", "b", "c")
    past = await history.read(KEY)
    assert await history.fold(past, KEY, summary="one", to=1)
    assert not await history.fold(past, KEY, summary="two", to=2)
    assert (await history.read(KEY)).summary == "one"


async def test_a_fold_of_what_was_reset_meanwhile_changes_nothing(history: RedisHistory) -> None:
    await tell(history, "a", "b")
    past = await history.read(KEY)
    await history.reset(KEY)
    assert not await history.fold(past, KEY, summary="old", to=1)
    assert (await history.read(KEY)).summary == ""


async def test_reset_forgets_and_new_keeps_for_export(history: RedisHistory, redis: Redis) -> None:
    sessions = Sessions(redis, history)
    await tell(history, "a", "b")
    kept = (await history.read(KEY)).conversation_id
    assert await history.reset(KEY, keep=True) == 2
    await tell(history, "c")
    assert await history.reset(KEY) == 1
    data = await sessions.export(KEY)
    assert data["turns"] == []
    assert {name: [one["id"] for one in old] for name, old in data["earlier"].items()} == {
        kept: ["a", "b"]
    }


async def test_two_who_begin_anew_at_once_lose_no_archive(
    history: RedisHistory, redis: Redis, settings: Settings
) -> None:
    """The second had looked before the first was done, and a turn came in between."""
    await tell(history, "a")
    slow = _Slow(redis)
    other = RedisHistory(slow, settings.bot_redis_prefix, timedelta(days=1))
    resetting = asyncio.create_task(other.reset(KEY, keep=True))
    await slow.reached.wait()
    await history.reset(KEY, keep=True)
    await tell(history, "b")
    slow.go.set()
    await resetting
    earlier = (await Sessions(redis, history).export(KEY))["earlier"]
    assert [[turn["id"] for turn in turns] for turns in earlier.values()] == [["b"], ["a"]]


class _Slow:
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


async def test_earlier_talks_are_bounded_and_the_oldest_goes_for_good(
    history: RedisHistory, redis: Redis
) -> None:
    for number in range(MAX_ARCHIVES + 3):
        await tell(history, str(number))
        await history.reset(KEY, keep=True)
    earlier = (await Sessions(redis, history).export(KEY))["earlier"]
    names = [turns[0]["id"] for turns in earlier.values()]
    assert names == [str(number) for number in range(MAX_ARCHIVES + 2, 2, -1)]
    assert len(await redis.keys("*old:*")) == MAX_ARCHIVES


async def test_the_same_reset_asked_twice_happens_once(history: RedisHistory) -> None:
    await tell(history, "a", "b")
    assert await history.reset(KEY, request_id="c1") == 2
    await tell(history, "c")
    assert await history.reset(KEY, request_id="c1") == 2
    assert await window(history) == ["c"]


async def test_a_new_answer_takes_the_place_of_the_old(history: RedisHistory) -> None:
    await tell(history, "a", "b")
    past = await history.read(KEY)
    await history.append(TurnWrite(turn_of("b2", past), tokens=9, replaces="b"))
    await history.append(TurnWrite(turn_of("b2", past), tokens=9, replaces="b"))
    assert await window(history) == ["a", "b2"]
    assert (await history.read(KEY, turn_id="b")).known is None


async def test_the_first_question_answered_again_stays_in_the_window(
    history: RedisHistory,
) -> None:
    """Its prompt had no past, so its window begins at the next number: it must not fall out."""
    await tell(history, "a")
    past = await history.read(KEY)
    await history.append(
        TurnWrite(turn_of("a2", past), tokens=9, replaces="a", first_seq=past.next_seq)
    )
    assert await window(history) == ["a2"]


async def test_a_turn_forgotten_while_it_was_answered_again_stays_forgotten(
    history: RedisHistory,
) -> None:
    (turn,) = await tell(history, "a")
    past = await history.read(KEY)
    await history.delete_message(KEY, "m-a")
    await history.append(TurnWrite(turn_of("a2", past), tokens=9, replaces="a"))
    await history.append(TurnWrite(turn, tokens=9))
    assert await window(history) == []


async def test_an_edit_while_the_answer_is_handed_over_is_not_lost(history: RedisHistory) -> None:
    (turn,) = await tell(history, "a")
    await history.edit_message(KEY, "m-a", "my name is Ada")
    delivered = turn.ended("complete", turn.answer, answer_ids=("x1",))
    await history.append(TurnWrite(delivered, tokens=tokens_of(delivered)))
    (item,) = (await history.read(KEY)).window
    assert item.turn.incoming[0].text == "my name is Ada"
    assert item.turn.answer_ids == ("x1",)
    assert item.tokens == tokens_of(item.turn)
    await history.append(TurnWrite(turn_of("a2"), tokens=9, replaces="a"))
    (item,) = (await history.read(KEY)).window
    assert (item.turn.id, item.turn.incoming[0].text) == ("a2", "my name is Ada")


async def test_amending_and_writing_at_once_lose_nothing(history: RedisHistory) -> None:
    (turn,) = await tell(history, "a")
    await tell(history, "b")

    async def edit_message(number: int) -> None:
        await history.edit_message(KEY, "m-a", f"edit {number}")

    async def write(number: int) -> None:
        done = turn.ended("complete", "answer", answer_ids=("x",))
        await history.append(TurnWrite(done, tokens=9))
        await tell(history, f"n{number}")

    await asyncio.gather(*(work(number) for number in range(25) for work in (edit_message, write)))
    await history.edit_message(KEY, "m-a", "the last edit")
    past = await history.read(KEY)
    assert past.window[0].turn.incoming[0].text == "the last edit"
    assert past.window[0].turn.answer_ids == ("x",)
    assert sorted(item.turn.id for item in past.window[2:]) == sorted(f"n{n}" for n in range(25))


async def test_undo_of_what_changed_meanwhile_does_nothing(history: RedisHistory) -> None:
    await tell(history, "a", "b")
    last = (await history.read(KEY)).window[-1]
    assert await history.forget_turn(KEY, last)
    assert not await history.forget_turn(KEY, last)
    assert await window(history) == ["a"]


async def test_every_key_lives_on_after_each_use_and_not_for_ever(
    history: RedisHistory, redis: Redis
) -> None:
    await tell(history, "a")
    await history.reset(KEY, keep=True)
    await tell(history, "b")
    present = [key for key in await redis.keys("*") if b":old:" not in key]
    assert len(present) == 3
    for key in present:
        await redis.expire(key, 100)
    await tell(history, "c")
    for key in present:
        assert TTL_S - 60 < await redis.ttl(key) <= TTL_S
    await history.edit_message(KEY, "m-b", "x")
    await history.delete_message(KEY, "m-b")
    for key in await redis.keys("*"):
        assert await redis.ttl(key) > 0


async def test_a_conversation_is_gone_when_its_time_is_over(
    redis: Redis, settings: Settings
) -> None:
    short = RedisHistory(redis, settings.bot_redis_prefix, timedelta(minutes=5))
    await tell(short, "a")
    for key in await redis.keys("*"):
        assert 0 < await redis.ttl(key) <= 300
        await redis.pexpire(key, 1)

    async def it_is_gone() -> bool:
        return (await short.read(KEY)).window == ()

    await wait_until(it_is_gone)


@asynccontextmanager
async def counted(redis: Redis) -> AsyncIterator[dict[str, int]]:
    """How many commands the server ran for clients, and how many bytes it took and sent."""
    found: dict[str, int] = {}
    await redis.config_resetstat()
    before = await redis.info("stats")
    yield found
    after = await redis.info("stats")
    stats = await redis.info("commandstats")
    for name, one in stats.items():
        found[name.removeprefix("cmdstat_")] = one["calls"]
    found["in"] = after["total_net_input_bytes"] - before["total_net_input_bytes"]
    found["out"] = after["total_net_output_bytes"] - before["total_net_output_bytes"]


async def trips(redis: Redis, work: Callable[[], Awaitable[object]]) -> int:
    """How often `work` sends something and waits: one command is one round trip here."""
    sent = 0
    execute = redis.execute_command

    async def counting(*args: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        return await execute(*args, **options)

    redis.execute_command = counting  # type: ignore[method-assign]
    try:
        await work()
    finally:
        redis.execute_command = execute  # type: ignore[method-assign]
    return sent


async def test_a_turn_costs_one_round_trip_to_read_and_one_to_write(
    history: RedisHistory, redis: Redis
) -> None:
    past = await history.read(KEY)
    await history.append(TurnWrite(turn_of("a", past), tokens=9))
    assert await trips(redis, lambda: history.read(KEY, turn_id="b", fence=3)) == 1
    assert (
        await trips(redis, lambda: history.append(TurnWrite(turn_of("b", past), tokens=9, fence=3)))
        == 1
    )
    async with counted(redis) as seen:
        await history.read(KEY)
        await history.append(TurnWrite(turn_of("c", past), tokens=9))
    assert seen["evalsha"] == 2
    assert "eval" not in seen


async def long_past(redis: Redis, history: RedisHistory, turns: int) -> None:
    """A conversation of `turns` turns as history writes it, with a window of the last 100."""
    past = await history.read(KEY)
    state, hashes, index = history.keys.state_turns_index(KEY)
    for start in range(0, turns, 5_000):
        numbers = range(start, min(turns, start + 5_000))
        values = {n: b"9 " + turn_of(str(n), past).to_json() for n in numbers}
        await redis.hset(hashes, mapping=values)
        await redis.hset(index, mapping={f"t:{n}": n for n in numbers})
        await redis.hset(index, mapping={f"m:m-{n}": n for n in numbers})
    await redis.hset(state, mapping={"next": turns, "first": max(0, turns - 100)})
    for key in (state, hashes, index):
        await redis.expire(key, 1000)


async def test_a_turn_after_a_hundred_thousand_costs_what_it_costs_after_a_hundred(
    history: RedisHistory, redis: Redis
) -> None:
    seen: dict[int, dict[str, int]] = {}
    for turns in (10, 100, 100_000):  # with the first, the server learns the scripts
        await history.reset(KEY)
        await long_past(redis, history, turns)
        async with counted(redis) as stats:
            past = await history.read(KEY, turn_id="new")
            await history.append(
                TurnWrite(turn_of("new", past), tokens=9, first_seq=past.first_seq)
            )
            await history.edit_message(KEY, f"m-{turns - 1}", "changed")
            await history.delete_message(KEY, "m-5")
        assert len(past.window) == min(100, turns)
        seen[turns] = stats
    few, many = seen[100], seen[100_000]
    calls = {name for name in few | many if name not in ("in", "out")}
    assert {name: many.get(name) for name in calls} == {name: few.get(name) for name in calls}
    assert not {"hgetall", "hkeys", "hvals", "hscan", "scan", "keys"} & calls
    assert many["in"] <= few["in"] * 1.1
    assert many["out"] <= few["out"] * 1.1
    assert await window(history)


async def test_overheard_messages_never_make_a_read_endless(history: RedisHistory) -> None:
    """Nobody asks, so nothing is folded: the window is bounded all the same."""
    await history.read(KEY)
    heard = turn_of("x").ended("overheard", "")
    for start in range(0, MAX_WINDOW_TURNS + 50, 50):
        await asyncio.gather(
            *(
                history.append(
                    TurnWrite(
                        Turn(f"o{n}", heard.incoming).ended("overheard", ""), tokens=9, first_seq=0
                    )
                )
                for n in range(start, start + 50)
            )
        )
    past = await history.read(KEY)
    assert past.next_seq == 2050
    assert MAX_WINDOW_TURNS / 2 <= len(past.window) <= MAX_WINDOW_TURNS
    assert past.window[-1].seq == 2049


async def evict(redis: Redis, history: RedisHistory, part: str) -> None:
    assert await redis.delete(history.keys.of(KEY, part)) == 1


async def test_a_turn_is_written_though_the_state_was_evicted_under_it(
    history: RedisHistory, redis: Redis
) -> None:
    await tell(history, "a", "b")
    past = await history.read(KEY)
    await evict(redis, history, "state")
    await history.append(TurnWrite(turn_of("c", past), tokens=9))
    now = await history.read(KEY)
    assert [item.turn.id for item in now.window] == ["c"]
    assert now.conversation_id == past.conversation_id


async def test_after_an_eviction_no_id_leads_to_a_wrong_turn(
    history: RedisHistory, redis: Redis
) -> None:
    await tell(history, "a", "b")
    await evict(redis, history, "state")
    await tell(history, "c")
    assert await history.find(KEY, "m-a") is None
    assert (await history.read(KEY, turn_id="a")).known is None


@pytest.mark.parametrize("part", ["turns", "index"])
async def test_a_conversation_goes_on_when_a_part_of_it_was_evicted(
    history: RedisHistory, redis: Redis, part: str
) -> None:
    await tell(history, "a", "b")
    await evict(redis, history, part)
    await history.edit_message(KEY, "m-a", "x")
    await tell(history, "c")
    assert (await window(history))[-1] == "c"
    assert await history.reset(KEY) > 0


def test_conversation_ids_are_time_ordered_uuids() -> None:
    ids = [new_conversation_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(one[14] == "7" and one[19] in "89ab" for one in ids)
