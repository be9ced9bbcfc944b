"""The law of the inbox: every message is answered once and in order, whatever happens."""

from __future__ import annotations

from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.conversation import SessionKey
from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.settings import Settings
from tests.support.inbox_harness import (
    ABANDONED_MS,
    ALL_SHARDS,
    keys_left,
    mark_idle,
    texts,
)
from tests.support.messages import make_message

PLACES = ("C1", "C2", "C3")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(PLACES)),
        st.tuples(st.just("take"), st.sampled_from(["w1", "w2"])),
        st.tuples(st.just("end"), st.sampled_from(["done", "retry", "requeue", "split", "defer"])),
        st.tuples(st.just("crash"), st.just("")),
    ),
    max_size=60,
)


@given(steps=STEPS)
@examples(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_every_message_is_answered_once_and_in_order_whatever_happens(
    inbox: Inbox, redis: Redis, settings: Settings, steps: list[tuple[str, str]]
) -> None:
    """A law over any history of puts, turns, failures and crashed workers."""
    await redis.flushall()
    held: list[ClaimedTurn] = []
    put: dict[str, list[str]] = {place: [] for place in PLACES}
    answered: dict[str, list[str]] = {place: [] for place in PLACES}

    async def end(turn: ClaimedTurn, outcome: str) -> None:
        ours = await inbox.complete(turn, outcome)
        if outcome == "done" and ours:
            answered[turn.session.place] += texts(turn)

    async def take(worker: str) -> None:
        await inbox.promote_due(ALL_SHARDS)
        held.extend((await inbox.claim(worker, 2, ALL_SHARDS))[0])

    for step, what in steps:
        if step == "put":
            put[what].append(str(len(put[what])))
            await inbox.enqueue(make_message(put[what][-1], what))
        elif step == "take":
            await take(what)
            assert len({turn.lane for turn in held}) == len(held), "two turns of one conversation"
        elif step == "end" and held:
            await end(held.pop(0), what)
        elif step == "crash" and held:
            lost = held.pop()
            await mark_idle(redis, inbox, lost, *held)
            held.extend(await inbox.claim_abandoned("w3", 9, ALL_SHARDS, min_idle_ms=ABANDONED_MS))
            held[:] = [turn for turn in held if turn.entry != lost.entry or turn.token > lost.token]
            held[:] = list(
                {turn.lane: turn for turn in sorted(held, key=lambda t: t.token)}.values()
            )

    async def busy() -> bool:
        return any([await inbox.is_active(SessionKey("loop", "A1", place)) for place in PLACES])

    while held or await busy():
        for turn in held:
            await end(turn, "done")
        held.clear()
        await take("w1")
    assert answered == put
    assert await keys_left(redis, settings) == []
