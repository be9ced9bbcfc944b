"""Holding: a turn waits for messages that are still to come."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from tests.support.inbox_harness import (
    ALL_SHARDS,
    claim_one,
    make_due,
    texts,
)
from tests.support.messages import make_message


def conv_of(inbox: Inbox) -> str:
    """The key of the conversation's state."""
    session = make_message("x").session
    return inbox.keys.of(inbox.keys.shard(session), f"conv:{session}")


async def test_a_held_turn_waits_for_all_its_messages(inbox: Inbox, redis: Redis) -> None:
    for number in range(3):
        await inbox.enqueue(make_message(f"picture {number}"), hold_s=60)
    assert await claim_one(inbox) is None
    await redis.hset(conv_of(inbox), "hold", 1)
    await make_due(redis, inbox)
    await inbox.promote_due(ALL_SHARDS)
    turn = await claim_one(inbox)
    assert turn
    assert len(turn.incoming) == 3


async def test_messages_held_during_a_turn_wait_after_it(inbox: Inbox) -> None:
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.enqueue(make_message("part 1"), hold_s=60)
    await inbox.complete(turn, "done")
    assert await claim_one(inbox) is None
    await inbox.enqueue(make_message("part 2"))
    turn = await claim_one(inbox)
    assert turn
    assert texts(turn) == ["part 1", "part 2"]


async def test_a_ready_turn_waits_for_messages_that_are_held(inbox: Inbox) -> None:
    await inbox.enqueue(make_message("look at these"))
    await inbox.enqueue(make_message("picture 1"), hold_s=60)
    assert await claim_one(inbox) is None
    await inbox.enqueue(make_message("that is all"))
    turn = await claim_one(inbox)
    assert turn
    assert len(turn.incoming) == 3
