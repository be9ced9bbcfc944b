"""Edits and deletions in the mailbox: what waits is replaced or dropped, a turn that runs is withdrawn."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.conversation import Attachment, Incoming
from bot.inbox.dead_letters import DeadLetters
from bot.inbox.inbox import Inbox
from bot.settings import Settings
from tests.support.inbox_harness import (
    ALL_SHARDS,
    claim_abandoned,
    claim_one,
    keys_left,
    make_due,
    mark_idle,
    texts,
)
from tests.support.messages import make_message

SESSION = make_message("x").session


async def enqueue(inbox: Inbox, *words: str, **fields: object) -> None:
    """Enqueue messages whose ids are their texts."""
    for word in words:
        await inbox.enqueue(make_message(word, message_id=word, **fields))


def edit(message_id: str, text: str, **fields: object) -> Incoming:
    return make_message(text, message_id=message_id, kind="edit", **fields)


def deletion(message_id: str, **fields: object) -> Incoming:
    return make_message("", message_id=message_id, kind="delete", **fields)


async def answer_all(inbox: Inbox) -> list[list[str]]:
    """Texts of each turn to come, all completed at once; changes of memory by their kind.

    A claim that finds a turn without messages only makes its conversation ready again.
    """
    turns = []
    while turn := await claim_one(inbox) or await claim_one(inbox):
        turns.append([item.text or item.kind for item in turn.incoming])
        await inbox.complete(turn, "done")
    return turns


async def test_waiting_messages_are_replaced_or_dropped_in_their_place(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    """S3: the turn holds the messages as they are when it begins."""
    await enqueue(inbox, "one")
    running = await claim_one(inbox)
    assert running
    await enqueue(inbox, "two SECRET", "tow", "three")
    assert await inbox.change(deletion("two SECRET")) == "merged"
    assert await inbox.change(edit("tow", "two")) == "merged"
    await inbox.complete(running, "done")
    assert await answer_all(inbox) == [["two", "three"]]
    assert await keys_left(redis, settings) == []


@pytest.mark.parametrize("state", ["ready", "held", "behind a running turn", "behind a retry"])
async def test_a_deleted_message_that_waits_alone_leaves_nothing(
    inbox: Inbox, redis: Redis, settings: Settings, state: str
) -> None:
    """S3: in whichever state its conversation is."""
    first = None
    if state.startswith("behind"):
        await enqueue(inbox, "first")
        first = await claim_one(inbox)
        assert first
    if state == "behind a retry":
        assert first
        await inbox.complete(first, "retry", delay_s=60)
    await inbox.enqueue(
        make_message("gone", message_id="gone"), hold_s=60 if state == "held" else 0
    )
    assert await inbox.change(deletion("gone")) == "merged"
    if state == "behind a running turn":
        assert first
        await inbox.complete(first, "done")
    await make_due(redis, inbox)
    await inbox.promote_due(ALL_SHARDS)
    assert await answer_all(inbox) == ([["first"]] if state == "behind a retry" else [])
    assert await keys_left(redis, settings) == []


async def test_a_running_turn_is_withdrawn_when_its_message_is_deleted(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    """S2: and memory forgets, after the turn."""
    await enqueue(inbox, "deleted")
    turn = await claim_one(inbox)
    assert turn
    await enqueue(inbox, "next")
    assert await inbox.renew("w1", [turn], touch=False) == {}
    assert await inbox.change(deletion("deleted")) == "merged"
    assert await inbox.renew("w1", [turn], touch=False) == {0: "withdrawn"}
    assert await inbox.complete(turn, "requeue")
    assert await answer_all(inbox) == [["next"], ["delete"]]
    assert await keys_left(redis, settings) == []


async def test_the_other_messages_of_a_withdrawn_turn_become_a_turn_with_the_same_id(
    inbox: Inbox,
) -> None:
    """S2: only the deleted words are left out; what was stored of the turn is still known."""
    await enqueue(inbox, "deleted", "stays")
    turn = await claim_one(inbox)
    assert turn
    await inbox.change(deletion("deleted"))
    await inbox.complete(turn, "requeue")
    again = await claim_one(inbox)
    assert again
    assert texts(again) == ["stays"]
    assert (again.first, again.tries) == (turn.ids[0], 1)
    assert await inbox.renew("w1", [again], touch=False) == {}, "it is withdrawn once"
    await inbox.complete(again, "done")
    assert await answer_all(inbox) == [["delete"]]


async def test_a_turn_whose_worker_died_before_it_read_the_deletion_is_not_run_again(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    """S2: also across a crash."""
    await enqueue(inbox, "deleted")
    turn = await claim_one(inbox)
    assert turn
    await inbox.change(deletion("deleted"))
    await mark_idle(redis, inbox, turn)
    assert await claim_abandoned(inbox, "w2") is None
    assert await answer_all(inbox) == [["delete"]]
    assert await keys_left(redis, settings) == []


async def test_a_deletion_ends_the_delay_of_a_turn_that_failed(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    await enqueue(inbox, "deleted")
    turn = await claim_one(inbox)
    assert turn
    await enqueue(inbox, "next")
    await inbox.complete(turn, "retry", delay_s=60)
    assert await inbox.change(deletion("deleted")) == "merged"
    assert await answer_all(inbox) == [["next"], ["delete"]]
    assert await keys_left(redis, settings) == []


@pytest.mark.parametrize("end", ["retry", "requeue", "crash"])
async def test_a_turn_that_is_tried_again_has_the_edited_text(
    inbox: Inbox, redis: Redis, end: str
) -> None:
    """S3: an edit while it runs reaches the next try, and memory after it."""
    await enqueue(inbox, "tow")
    turn = await claim_one(inbox)
    assert turn
    assert await inbox.change(edit("tow", "two")) == "merged"
    assert await inbox.renew("w1", [turn], touch=False) == {}
    if end == "crash":
        await mark_idle(redis, inbox, turn)
        again = await claim_abandoned(inbox, "w2")
    else:
        await inbox.complete(turn, end)
        await inbox.promote_due(ALL_SHARDS)
        again = await claim_one(inbox)
    assert again
    assert texts(again) == ["two"]
    await inbox.complete(again, "done")
    assert await answer_all(inbox) == [["two"]], "the edit itself, for memory"


async def test_the_last_edit_counts_and_a_repeated_delivery_of_an_earlier_one_does_not(
    inbox: Inbox,
) -> None:
    await enqueue(inbox, "a")
    assert await inbox.change(edit("a", "b", event_id="E1"), dedupe=("k1",)) == "merged"
    assert await inbox.change(edit("a", "c", event_id="E2"), dedupe=("k2",)) == "merged"
    assert await inbox.change(edit("a", "b", event_id="E1"), dedupe=("k1",)) == "duplicate"
    assert await inbox.change(edit("a", "b", event_id="E3"), dedupe=("k1",)) == "duplicate"
    assert await answer_all(inbox) == [["c"]]
    assert await inbox.change(edit("a", "d", event_id="E4")) == "queued"
    assert await inbox.change(edit("a", "d", event_id="E4")) == "duplicate"


async def test_an_edit_exchanges_the_files_and_keeps_what_is_known_of_them(inbox: Inbox) -> None:
    described = Attachment("document", "a.txt", "text/plain", "f1", size_bytes=5)
    removed, note = Attachment("image", reference="f2"), Attachment("other", text="[a sticker]")
    added = Attachment("image", "c.png", reference="f3")
    files = (described, removed, note)
    await enqueue(inbox, "see", attachments=files)
    bare = Attachment("document", reference="f1")
    await inbox.change(edit("see", "look", attachments=(bare, added)))
    turn = await claim_one(inbox)
    assert turn
    (message,) = turn.incoming
    assert (message.text, message.attachments) == ("look", (described, added, note))


async def test_an_edit_leaves_commands_and_other_messages_alone(inbox: Inbox) -> None:
    await enqueue(inbox, "reset", kind="command")
    await enqueue(inbox, "mentions reset")
    assert await inbox.change(edit("reset", "please reset")) == "merged"
    assert await inbox.change(edit("unknown", "what")) == "merged"
    assert await inbox.change(deletion("")) == "merged", "an event without an id is about nothing"
    turns = await answer_all(inbox)
    assert turns == [["reset"], ["mentions reset"], ["please reset"], ["what"], ["delete"]]


async def test_a_deleted_command_does_not_run(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    await enqueue(inbox, "reset", kind="command")
    assert await inbox.change(deletion("reset")) == "merged"
    assert await answer_all(inbox) == []
    assert await keys_left(redis, settings) == []


async def test_a_message_that_is_known_twice_is_dropped_in_both_places(inbox: Inbox) -> None:
    """A mention added by an edit makes a question of a message that was overheard."""
    await enqueue(inbox, "x", kind="overheard")
    await enqueue(inbox, "x")
    assert await inbox.change(deletion("x", event_id="E1")) == "merged"
    assert await answer_all(inbox) == []


async def test_a_dead_letter_and_a_moved_message_have_the_edited_text(
    inbox: Inbox, redis: Redis
) -> None:
    await enqueue(inbox, "tow")
    await inbox.change(edit("tow", "two"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.complete(turn, "dead", reason="poison")
    (letter,) = await DeadLetters(redis, inbox).list()
    assert letter.incoming
    assert letter.incoming.text == "two"
    await enqueue(inbox, "tow")
    await inbox.change(edit("tow", "two again"))
    assert await inbox.migrate(SESSION, make_message("x", "new").session) == 1
    assert [texts(turn) for turn in [await claim_one(inbox)] if turn] == [["two again"]]


async def test_a_stop_forgets_edits_with_the_messages_that_it_drops(
    inbox: Inbox, redis: Redis
) -> None:
    await enqueue(inbox, "running")
    turn = await claim_one(inbox)
    assert turn
    await enqueue(inbox, "tow")
    await inbox.change(edit("tow", "two"))
    await inbox.stop(SESSION)
    conv = inbox.keys.conversation(turn.shard, turn.lane)["conv"]
    assert not [name for name in await redis.hkeys(conv) if name.startswith(b"new:")]


async def test_a_split_turn_has_the_edited_text(inbox: Inbox) -> None:
    await enqueue(inbox, "a", "b")
    turn = await claim_one(inbox)
    assert turn
    await inbox.change(edit("b", "B"))
    await inbox.complete(turn, "split")
    assert (await answer_all(inbox))[:2] == [["a"], ["B"]]
