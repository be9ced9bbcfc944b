"""The cost of a turn does not grow with its conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from bot.conversation import Turn
from bot.memory.history import RedisHistory
from bot.ports import TurnWrite
from bot.prompt.builder import MAX_WINDOW_TURNS
from tests.bot.memory.history_harness import KEY, make_turn, read_turn_ids


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
    await history.append(TurnWrite(make_turn("a", past), tokens=9))
    assert await trips(redis, lambda: history.read(KEY, turn_id="b", fence=3)) == 1
    assert (
        await trips(
            redis, lambda: history.append(TurnWrite(make_turn("b", past), tokens=9, fence=3))
        )
        == 1
    )
    async with counted(redis) as seen:
        await history.read(KEY)
        await history.append(TurnWrite(make_turn("c", past), tokens=9))
    assert seen["evalsha"] == 2
    assert "eval" not in seen


async def long_past(redis: Redis, history: RedisHistory, turns: int) -> None:
    """A conversation of `turns` turns as history writes it, with a window of the last 100."""
    past = await history.read(KEY)
    state, hashes, index = history.keys.state_turns_index(KEY)
    for start in range(0, turns, 5_000):
        numbers = range(start, min(turns, start + 5_000))
        values = {n: b"9 " + make_turn(str(n), past).to_json() for n in numbers}
        await redis.hset(hashes, mapping=values)
        await redis.hset(index, mapping={f"t:{n}": n for n in numbers})
        await redis.hset(index, mapping={f"m:m-{n}": n for n in numbers})
    await redis.hset(state, mapping={"next": turns, "first": max(0, turns - 100)})
    for key in (state, hashes, index):
        await redis.expire(key, 1000)


async def test_a_turn_costs_the_same_after_a_hundred_thousand_as_after_a_hundred(
    history: RedisHistory, redis: Redis
) -> None:
    seen: dict[int, dict[str, int]] = {}
    for turns in (10, 100, 100_000):  # with the first, the server learns the scripts
        await history.reset(KEY)
        await long_past(redis, history, turns)
        async with counted(redis) as stats:
            past = await history.read(KEY, turn_id="new")
            await history.append(
                TurnWrite(make_turn("new", past), tokens=9, first_seq=past.first_seq)
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
    assert await read_turn_ids(history)


async def test_overheard_messages_alone_never_make_a_window_unbounded(
    history: RedisHistory,
) -> None:
    """Nobody asks, so nothing is folded: the window is bounded all the same."""
    await history.read(KEY)
    heard = make_turn("x").ended("overheard", "")
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
