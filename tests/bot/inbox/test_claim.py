"""Claiming: the messages of a turn, their order, and the tokens of leases."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.inbox.inbox import MAX_MESSAGES, Inbox
from tests.support.inbox_harness import (
    ALL_SHARDS,
    claim_one,
    texts,
)
from tests.support.messages import make_message


async def test_messages_that_arrive_during_a_turn_become_the_next_one_in_order(
    inbox: Inbox,
) -> None:
    await inbox.enqueue(make_message("first"))
    turn = await claim_one(inbox)
    assert turn
    for text in ("second", "third"):
        assert (await inbox.enqueue(make_message(text)))[0] == "merged"
    assert await claim_one(inbox) is None, "two turns of one conversation at once"
    await inbox.complete(turn, "done")
    following = await claim_one(inbox)
    assert following
    assert texts(following) == ["second", "third"]


async def test_commands_and_overheard_messages_are_turns_of_their_own_in_order(
    inbox: Inbox,
) -> None:
    for text, kind in (
        ("a", "message"), ("b", "message"), ("reset", "command"), ("undo", "command"),
        ("x", "overheard"), ("y", "overheard"), ("c", "message"),
    ):  # fmt: skip
        await inbox.enqueue(make_message(text, kind=kind))
    batches = []
    while turn := await claim_one(inbox):
        batches.append(texts(turn))
        await inbox.complete(turn, "done")
    assert batches == [["a", "b"], ["reset"], ["undo"], ["x", "y"], ["c"]]


async def test_a_turn_has_no_more_messages_than_it_may(inbox: Inbox) -> None:
    for number in range(MAX_MESSAGES + 3):
        await inbox.enqueue(make_message(str(number)))
    turn = await claim_one(inbox)
    assert turn
    assert len(turn.incoming) == MAX_MESSAGES
    await inbox.complete(turn, "done")
    turn = await claim_one(inbox)
    assert turn
    assert texts(turn) == ["50", "51", "52"]


async def test_a_consumer_group_lost_in_a_crash_is_created_again(
    inbox: Inbox, redis: Redis
) -> None:
    await inbox.enqueue(make_message("one"))
    for shard in ALL_SHARDS:
        if await redis.exists(inbox.keys.of(shard, "ready")):
            await redis.xgroup_create(inbox.keys.of(shard, "ready"), "w", "0")
            await redis.xgroup_destroy(inbox.keys.of(shard, "ready"), "w")
    assert await claim_one(inbox)


async def test_tokens_grow_even_when_the_clock_goes_back(inbox: Inbox, redis: Redis) -> None:
    await inbox.enqueue(make_message("one"))
    shard = inbox.keys.shard(make_message("x").session)
    ahead = 9_000_000_000_000_000
    await redis.set(inbox.keys.of(shard, "clock"), ahead, px=60_000)
    turn = await claim_one(inbox)
    assert turn
    assert turn.token == ahead + 1
