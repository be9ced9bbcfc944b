"""Completing: retried, requeued and split turns."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.settings import Settings
from tests.support.inbox_harness import (
    ALL_SHARDS,
    claim_one,
    make_due,
    make_inbox,
    texts,
)
from tests.support.messages import make_message


async def test_a_failed_turn_is_promoted_when_it_is_due(inbox: Inbox, redis: Redis) -> None:
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.complete(turn, "retry", delay_s=60)
    count, next_s = await inbox.promote_due(ALL_SHARDS)
    assert count == 0
    assert next_s is not None
    assert 0 < next_s <= 60
    await inbox.enqueue(make_message("two"))
    assert await claim_one(inbox) is None, "a new message must not overtake the one that waits"
    await make_due(redis, inbox)
    assert (await inbox.promote_due(ALL_SHARDS))[0] == 1
    again = await claim_one(inbox)
    assert again
    assert (texts(again), again.tries, again.fails) == (["one"], 2, 1)


async def test_a_requeued_turn_costs_no_try(inbox: Inbox) -> None:
    await inbox.enqueue(make_message("one"))
    for _ in range(3):
        turn = await claim_one(inbox)
        assert turn
        assert (turn.tries, turn.crashes) == (1, 0)
        await inbox.complete(turn, "requeue")


async def test_a_split_turn_leaves_each_message_one_try_alone(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings, max_attempts=5)
    for text in ("a", "b"):
        await inbox.enqueue(make_message(text))
    turn = await claim_one(inbox)
    assert turn
    await inbox.enqueue(make_message("c"))
    await inbox.enqueue(make_message("d"))
    await inbox.complete(turn, "split")
    seen = []
    while turn := await claim_one(inbox):
        seen.append((texts(turn), turn.tries))
        await inbox.complete(turn, "done")
    assert seen == [(["a"], 5), (["b"], 5), (["c", "d"], 1)]
