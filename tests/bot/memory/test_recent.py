"""Recent conversations of a person: the latest first, bounded, and written beside the turns."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import SessionKey, Speaker, Turn
from bot.memory.history import RedisHistory
from bot.memory.recent import MAX_LISTED, RecentConversations
from bot.memory.sessions import Sessions
from bot.ports import TurnWrite
from bot.settings import Settings
from tests.support.messages import make_message

ADA = make_message("x").speaker


@pytest.fixture
def recent(redis: Redis, settings: Settings, history: RedisHistory) -> RecentConversations:
    return recent_over(redis, settings, history)


def recent_over(
    redis: Redis, settings: Settings, history: RedisHistory, **options: Any
) -> RecentConversations:
    sessions = Sessions(redis, history)
    return RecentConversations(redis, settings.bot_redis_prefix, 3_600, sessions, **options)


def room(name: str) -> SessionKey:
    return SessionKey("loop", "A1", name)


async def talk(
    recent: RecentConversations, history: RedisHistory, place: str, *speakers: Speaker
) -> None:
    incoming = tuple(make_message("hello", room(place)) for _ in speakers or (ADA,))
    turn = Turn(f"t-{place}", incoming)
    await history.append(TurnWrite(turn.ended("complete", "hi"), tokens=9))
    await recent.record(turn)


async def places(recent: RecentConversations, speaker: Speaker = ADA) -> list[str]:
    return [summary.session.place for summary in await recent.conversations_of("loop", speaker)]


async def test_the_latest_used_conversation_comes_first_whoever_used_it(
    recent: RecentConversations, history: RedisHistory, redis: Redis
) -> None:
    for place in ("a", "b", "c"):
        await talk(recent, history, place)
    for place, used in (("a", 30), ("b", 10), ("c", 20)):
        await redis.hset(history.keys.of(room(place), "state"), "used", str(used))
    assert await places(recent) == ["a", "c", "b"]


async def test_each_person_has_their_own_list_by_home_and_id(
    recent: RecentConversations, history: RedisHistory
) -> None:
    await talk(recent, history, "a")
    assert await places(recent, Speaker("U1", "somebody else", "T9")) == []
    assert await places(recent, Speaker("U1", "renamed", "A1")) == ["a"]
    assert await recent.conversations_of("other", ADA) == ()


async def test_forgotten_conversations_are_not_listed(
    recent: RecentConversations, history: RedisHistory
) -> None:
    await talk(recent, history, "a")
    await talk(recent, history, "b")
    await history.reset(room("a"))
    assert await places(recent) == ["b"]


async def test_the_index_is_bounded_and_expires(
    recent: RecentConversations, history: RedisHistory, redis: Redis
) -> None:
    for number in range(MAX_LISTED + 5):
        await talk(recent, history, f"{number:02}")
    assert len(await places(recent)) == MAX_LISTED
    (key,) = await redis.keys("*:person:*")
    assert await redis.zcard(key) == MAX_LISTED
    assert 0 < await redis.ttl(key) <= 3_600


async def test_a_conversation_is_recorded_once_in_an_interval(
    recent: RecentConversations, history: RedisHistory, redis: Redis, settings: Settings
) -> None:
    async def writes() -> int:
        stats = await redis.info("commandstats")
        return int(stats.get("cmdstat_zadd", {"calls": 0})["calls"])

    before = await writes()
    for _ in range(3):
        await talk(recent, history, "a")
    assert await writes() == before + 1
    forgetful = recent_over(redis, settings, history, record_every_s=0)
    for _ in range(2):
        await talk(forgetful, history, "a")
    assert await writes() == before + 3


async def test_the_cache_of_recorded_conversations_is_bounded(
    history: RedisHistory, redis: Redis, settings: Settings
) -> None:
    recent = recent_over(redis, settings, history, max_cached=3)
    for number in range(9):
        await talk(recent, history, str(number))
    await redis.delete(f"{settings.bot_redis_prefix}:person:loop/A1/U1")
    for number in (8, 7, 6, 0):
        await talk(recent, history, str(number))
    assert await places(recent) == ["0"], "the last three were known to be noted"


async def test_a_failed_record_is_dropped_and_written_by_the_next_turn(
    recent: RecentConversations, history: RedisHistory, redis: Redis, settings: Settings
) -> None:
    key = f"{settings.bot_redis_prefix}:person:loop/A1/U1"
    await redis.set(key, "no list", ex=60)
    await talk(recent, history, "a")
    await redis.delete(key)
    await talk(recent, history, "a")
    assert await places(recent) == ["a"], "it is tried again the next time"
