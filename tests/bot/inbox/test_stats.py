"""Statistics of the inbox: depth, and age of the oldest conversation."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.inbox.stats import InboxStats, QueueDepth
from tests.support.inbox_harness import claim_one
from tests.support.messages import make_message


async def test_the_depth_counts_running_and_delayed_conversations(
    inbox: Inbox, redis: Redis
) -> None:
    stats = InboxStats(redis, inbox.keys)
    assert (await stats.depth(), await stats.oldest_s()) == (QueueDepth(0, 0), 0)
    await inbox.enqueue(make_message("running", "C1"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.enqueue(make_message("delayed", "C2"), hold_s=60)
    assert await stats.depth() == QueueDepth(ready=1, waiting=1)
    assert await inbox.complete(turn, "done")
    assert await stats.depth() == QueueDepth(ready=0, waiting=1)


async def test_the_age_is_that_of_the_oldest_conversation(inbox: Inbox, redis: Redis) -> None:
    for place, added_ms in (("C1", 1_000), ("C2", 3_600_000)):
        session = make_message("x", place).session
        ready = inbox.keys.of(inbox.keys.shard(session), "ready")
        await redis.xadd(ready, {"s": str(session)}, id=f"{added_ms}-0")
        await redis.expire(ready, 60)
    oldest_s = await InboxStats(redis, inbox.keys).oldest_s()
    now_s = (await redis.time())[0]
    assert oldest_s > now_s - 3_600, "the age of the conversation added first"
