"""Stopping: the running turn is cancelled, waiting messages are dropped."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.inbox.inbox import SIDE_LANE, Inbox
from bot.settings import Settings
from tests.support.inbox_harness import (
    ALL_SHARDS,
    claim_abandoned,
    claim_one,
    keys_left,
    mark_idle,
    texts,
)
from tests.support.messages import make_message


async def test_a_stop_cancels_the_running_turn_and_drops_messages_before_it(inbox: Inbox) -> None:
    session = make_message("x").session
    await inbox.enqueue(make_message("running"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.enqueue(make_message("waits"))
    _, stop_id = await inbox.enqueue(
        make_message("stop", kind="command"), lane=f"{session}{SIDE_LANE}"
    )
    await inbox.enqueue(make_message("after the stop"))
    assert await inbox.stop(session, before=stop_id) == (True, 1)
    assert await inbox.renew("w1", [turn], touch=False) == {0: "cancel"}
    await inbox.complete(turn, "done")
    side, following = sorted(
        [await claim_one(inbox), await claim_one(inbox)], key=lambda turn: turn.incoming[0].kind
    )
    assert side.lane.endswith(SIDE_LANE)
    assert texts(following) == ["after the stop"]


@pytest.mark.parametrize("state", ["queued", "retrying", "held"])
async def test_a_stop_drops_a_turn_that_has_not_begun_and_the_next_message_runs(
    inbox: Inbox, redis: Redis, settings: Settings, state: str
) -> None:
    session = make_message("x").session
    await inbox.enqueue(make_message("one"), hold_s=60 if state == "held" else 0)
    if state == "retrying":
        turn = await claim_one(inbox)
        assert turn
        await inbox.complete(turn, "retry", delay_s=60)
    assert await inbox.stop(session) == (False, 1)
    assert await claim_one(inbox) is None
    assert await keys_left(redis, settings) == []
    await inbox.enqueue(make_message("two"))
    turn = await claim_one(inbox)
    assert turn
    assert texts(turn) == ["two"]


async def test_a_stop_keeps_commands_and_overheard_messages(inbox: Inbox) -> None:
    await inbox.enqueue(make_message("m"))
    await inbox.enqueue(make_message("o", kind="overheard"))
    await inbox.enqueue(make_message("reset", kind="command"))
    assert await inbox.stop(make_message("x").session) == (False, 1)
    seen = []
    while turn := await claim_one(inbox):
        seen.append(turn.incoming[0].text)
        await inbox.complete(turn, "done")
    assert seen == ["o", "reset"]


@pytest.mark.parametrize("end", ["crash", "retry", "requeue"])
async def test_a_stop_outlives_the_worker_that_did_not_read_it(
    inbox: Inbox, redis: Redis, end: str
) -> None:
    await inbox.enqueue(make_message("long"))
    turn = await claim_one(inbox)
    assert turn
    assert not turn.is_stopped
    await inbox.stop(make_message("x").session)
    if end == "crash":
        await mark_idle(redis, inbox, turn)
        turn = await claim_abandoned(inbox, "w2")
    else:
        await inbox.complete(turn, end)
        await inbox.promote_due(ALL_SHARDS)
        turn = await claim_one(inbox, "w2")
    assert turn
    assert turn.is_stopped
    await inbox.enqueue(make_message("next"))
    await inbox.complete(turn, "done")
    turn = await claim_one(inbox)
    assert turn
    assert not turn.is_stopped, "the stop does not apply to later messages"


async def test_messages_left_by_a_stop_wait_for_no_retry(inbox: Inbox) -> None:
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.complete(turn, "retry", delay_s=60)
    await inbox.enqueue(make_message("reset", kind="command"))
    await inbox.stop(make_message("x").session)
    turn = await claim_one(inbox)
    assert turn
    assert texts(turn) == ["reset"]
