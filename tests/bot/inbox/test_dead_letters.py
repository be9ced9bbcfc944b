"""Dead letters: listed, retried and dropped."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.inbox.dead_letters import DeadLetters
from bot.inbox.inbox import Inbox
from tests.support.inbox_harness import (
    claim_one,
)
from tests.support.messages import make_message


async def test_a_dead_letter_is_listed_retried_and_dropped(inbox: Inbox, redis: Redis) -> None:
    letters = DeadLetters(redis, inbox)
    await inbox.enqueue(make_message("poison", event_id="E1"))
    await inbox.enqueue(make_message("fine", "C2"))
    for _ in range(2):
        turn = await claim_one(inbox)
        assert turn
        is_bad = turn.incoming[0].text == "poison"
        await inbox.complete(turn, "dead" if is_bad else "done", reason="it kills")
    (letter,) = await letters.list()
    assert letter.incoming
    assert (letter.incoming.text, letter.reason, letter.tries) == ("poison", "it kills", 1)
    assert await letters.get(letter.id) == letter
    assert await letters.retry(letter)
    assert await letters.list() == []
    turn = await claim_one(inbox)
    assert turn
    assert turn.incoming[0].text == "poison"
    await inbox.complete(turn, "dead")
    for letter in await letters.list():
        await letters.drop(letter)
    assert await letters.list() == []


async def test_an_unreadable_message_becomes_a_dead_letter_and_blocks_nothing(
    inbox: Inbox, redis: Redis
) -> None:
    await inbox.enqueue(make_message("good"))
    shard = inbox.keys.shard(make_message("x").session)
    await redis.xadd(inbox.keys.of(shard, f"box:{make_message('x').session}"), {"k": "c", "d": "{"})
    first = await claim_one(inbox)
    assert first
    await inbox.complete(first, "done")
    second = await claim_one(inbox)
    assert second
    assert second.incoming == ()
    await inbox.complete(second, "dead", reason="unreadable")
    (letter,) = await DeadLetters(redis, inbox).list()
    assert letter.incoming is None
