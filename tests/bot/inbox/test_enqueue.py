"""Enqueueing: each message once, in one mailbox, within its limit; migration to another session."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.settings import Settings
from tests.support.inbox_harness import (
    claim_one,
    keys_left,
    make_inbox,
    texts,
)
from tests.support.messages import make_message


async def test_a_message_is_claimed_once_and_gone_when_it_is_completed(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    assert (await inbox.enqueue(make_message("hello")))[0] == "queued"
    turn = await claim_one(inbox)
    assert turn is not None
    assert texts(turn) == ["hello"]
    assert await claim_one(inbox, "w2") is None
    assert await inbox.complete(turn, "done")
    assert await claim_one(inbox) is None
    assert await keys_left(redis, settings) == []


async def test_an_event_is_enqueued_once(inbox: Inbox) -> None:
    twice = [await inbox.enqueue(make_message("hi", event_id="Ev1")) for _ in range(2)]
    assert [verdict for verdict, _ in twice] == ["queued", "duplicate"]


async def test_a_message_under_two_event_ids_is_enqueued_once(inbox: Inbox) -> None:
    for event_id, verdict in (("Ev1", "queued"), ("Ev2", "duplicate")):
        got, _ = await inbox.enqueue(make_message("hi", event_id=event_id), dedupe=["C1:17.1"])
        assert got == verdict


async def test_a_full_mailbox_takes_no_more(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings, max_waiting=2)
    verdicts = [(await inbox.enqueue(make_message("x", event_id=f"E{n}")))[0] for n in range(3)]
    assert verdicts == ["queued", "merged", "full"]
    turn = await claim_one(inbox)
    assert turn
    await inbox.complete(turn, "done")
    again, _ = await inbox.enqueue(make_message("x", event_id="E2"))
    assert again == "queued", "a refused message was not enqueued, so it may come again"


async def test_a_migrated_conversation_keeps_its_waiting_messages(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    old, new = make_message("x", "old").session, make_message("x", "new").session
    for text in ("a", "b"):
        await inbox.enqueue(make_message(text, "old", event_id=f"E{text}"))
    assert await inbox.migrate(old, new) == 2
    turn = await claim_one(inbox)
    assert turn is None or turn.session == new
    turn = turn or await claim_one(inbox)
    assert turn
    assert texts(turn) == ["a", "b"]
    assert turn.incoming[0].session == new
    await inbox.complete(turn, "done")
    await claim_one(inbox)
    assert await keys_left(redis, settings) == []
