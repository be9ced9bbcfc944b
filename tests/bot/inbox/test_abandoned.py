"""Leases: renewed by heartbeats, and claimed from workers that send none."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.settings import Settings
from tests.support.inbox_harness import (
    ABANDONED_MS,
    ALL_SHARDS,
    HOUR_MS,
    claim_abandoned,
    claim_one,
    idle_ms,
    make_inbox,
    mark_idle,
)
from tests.support.messages import make_message
from tests.support.wait import wait_until


async def test_an_abandoned_turn_is_claimed_with_the_same_messages(
    inbox: Inbox, redis: Redis
) -> None:
    await inbox.enqueue(make_message("one"))
    lost = await claim_one(inbox, "dead")
    assert lost
    await inbox.enqueue(make_message("two"))
    await mark_idle(redis, inbox, lost)
    again = await claim_abandoned(inbox, "w2")
    assert again
    assert again.ids == lost.ids
    assert (again.tries, again.crashes) == (2, 1)
    assert again.token > lost.token
    assert not await inbox.complete(lost, "done"), "the old worker resumed too late"
    assert await inbox.complete(again, "done")


@pytest.mark.parametrize("touch", [True, False])
async def test_a_heartbeat_renews_a_lease_and_a_read_does_not(
    inbox: Inbox, redis: Redis, touch: bool
) -> None:
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await mark_idle(redis, inbox, turn)
    assert await inbox.renew("w1", [turn], touch=touch) == {}
    assert (await idle_ms(redis, inbox, turn) < HOUR_MS) == touch


async def test_a_turn_claimed_by_its_own_worker_is_renewed_and_not_run_again(
    inbox: Inbox, redis: Redis
) -> None:
    """A starved process finds its own turn abandoned, and still runs it."""
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await mark_idle(redis, inbox, turn)
    assert await claim_abandoned(inbox, "w1", own=[turn]) is None
    assert await idle_ms(redis, inbox, turn) < HOUR_MS
    assert await inbox.renew("w1", [turn]) == {}
    await mark_idle(redis, inbox, turn)
    others = await claim_abandoned(inbox, "w2")
    assert others, "another worker's claim begins it again"
    assert await inbox.complete(others, "requeue")
    turns, _ = await inbox.claim("w1", 1, ALL_SHARDS)
    assert turns, "an older token proves nothing"


async def test_an_abandoned_turn_is_found_behind_many_live_ones(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings.model_copy(update={"bot_shards": 1}))
    for number in range(40):
        await inbox.enqueue(make_message("long", f"C{number}"))
    living, _ = await inbox.claim("alive", 40, [0])
    await inbox.enqueue(make_message("left behind", "last"))
    (dead,), _ = await inbox.claim("dead", 1, [0])
    await mark_idle(redis, inbox, dead)

    async def it_is_found() -> bool:
        await inbox.renew("alive", living)
        taken = await inbox.claim_abandoned("w3", 1, [0], min_idle_ms=ABANDONED_MS)
        return [turn.ids for turn in taken] == [dead.ids]

    await wait_until(it_is_found)


async def test_workers_without_leases_are_forgotten_when_long_idle(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings.model_copy(update={"bot_shards": 1}))
    for place in ("C1", "C2"):
        await inbox.enqueue(make_message("one", place))
    await inbox.claim("left two turns", 2, [0])
    await inbox.claim("left nothing", 1, [0])

    async def listed() -> list[bytes]:
        found = await redis.xinfo_consumers(inbox.keys.of(0, "ready"), "w")
        return [consumer["name"] for consumer in found]

    assert await listed() == [b"left nothing", b"left two turns"]
    assert await wait_until(lambda: claim_abandoned(inbox, "alive", min_idle_ms=1))

    async def they_are_off_the_list() -> bool:
        await claim_abandoned(inbox, "alive", min_idle_ms=1)
        return b"left nothing" not in await listed()

    await wait_until(they_are_off_the_list)
    assert b"alive" in await listed()


async def test_a_lost_lease_is_reported(inbox: Inbox, redis: Redis) -> None:
    await inbox.enqueue(make_message("one"))
    lost = await claim_one(inbox, "w1")
    assert lost
    await mark_idle(redis, inbox, lost)
    assert await claim_abandoned(inbox, "w2")
    assert await inbox.renew("w1", [lost]) == {0: "lost"}
