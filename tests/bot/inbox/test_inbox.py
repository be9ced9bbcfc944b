"""The inbox: each step is one script, and no step loses, repeats or reorders a message."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.conversation import SessionKey
from bot.inbox.claim import ClaimedTurn
from bot.inbox.dead_letters import DeadLetters
from bot.inbox.inbox import MAX_MESSAGES, SIDE_LANE, Inbox
from bot.settings import Settings
from tests.support.inbox_harness import HOUR_MS, idle_ms, make_inbox, mark_idle
from tests.support.messages import make_message
from tests.support.wait import wait_until

ALL = range(8)
ABANDONED_MS = 1000
"""The longest silence that a server of the tests can have seen for sure: it was up so long at the first of them."""


async def claim_one(inbox: Inbox, worker: str = "w1") -> ClaimedTurn | None:
    turns, _ = await inbox.claim(worker, 1, range(inbox.keys.shards))
    return turns[0] if turns else None


async def claim_abandoned(
    inbox: Inbox, worker: str, *, min_idle_ms: int = ABANDONED_MS, own: Sequence[ClaimedTurn] = ()
) -> ClaimedTurn | None:
    shards = range(inbox.keys.shards)
    turns = await inbox.claim_abandoned(worker, 1, shards, min_idle_ms=min_idle_ms, own=own)
    return turns[0] if turns else None


def conv_of(inbox: Inbox) -> str:
    """The key of what Redis knows of the one conversation there is."""
    session = make_message("x").session
    return inbox.keys.of(inbox.keys.shard(session), f"conv:{session}")


async def make_due(redis: Redis, inbox: Inbox) -> None:
    """Let the time come for all that waits for it."""
    for shard in ALL:
        retry = inbox.keys.of(shard, "retry")
        for lane in await redis.zrange(retry, 0, -1):
            await redis.zadd(retry, {lane: 1})


async def keys_left(redis: Redis, settings: Settings) -> list[str]:
    """Keys of conversations: there must be none when all is answered."""
    found = [key.decode() async for key in redis.scan_iter(f"{settings.bot_redis_prefix}:*")]
    return [key for key in found if ":conv:" in key or ":box:" in key]


async def test_what_is_put_is_taken_once_and_then_gone(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    assert (await inbox.enqueue(make_message("hello")))[0] == "queued"
    turn = await claim_one(inbox)
    assert turn is not None
    assert [one.text for one in turn.incoming] == ["hello"]
    assert await claim_one(inbox, "w2") is None
    assert await inbox.complete(turn, "done")
    assert await claim_one(inbox) is None
    assert await keys_left(redis, settings) == []


async def test_the_same_event_is_taken_in_once(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    twice = [await inbox.enqueue(make_message("hi", event_id="Ev1")) for _ in range(2)]
    assert [verdict for verdict, _ in twice] == ["queued", "duplicate"]


async def test_the_same_message_under_two_event_ids_is_taken_in_once(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    for event_id, verdict in (("Ev1", "queued"), ("Ev2", "duplicate")):
        got, _ = await inbox.enqueue(make_message("hi", event_id=event_id), dedupe=["C1:17.1"])
        assert got == verdict


async def test_messages_that_arrive_during_a_turn_become_the_next_one_in_order(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("first"))
    turn = await claim_one(inbox)
    assert turn
    for text in ("second", "third"):
        assert (await inbox.enqueue(make_message(text)))[0] == "merged"
    assert await claim_one(inbox) is None, "two turns of one conversation at once"
    await inbox.complete(turn, "done")
    following = await claim_one(inbox)
    assert following
    assert [one.text for one in following.incoming] == ["second", "third"]


async def test_commands_and_overheard_messages_are_turns_of_their_own_in_order(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    for text, kind in (
        ("a", "message"), ("b", "message"), ("reset", "command"), ("undo", "command"),
        ("x", "overheard"), ("y", "overheard"), ("c", "message"),
    ):  # fmt: skip
        await inbox.enqueue(make_message(text, kind=kind))
    batches = []
    while turn := await claim_one(inbox):
        batches.append([one.text for one in turn.incoming])
        await inbox.complete(turn, "done")
    assert batches == [["a", "b"], ["reset"], ["undo"], ["x", "y"], ["c"]]


async def test_a_turn_has_no_more_messages_than_it_may(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    for number in range(MAX_MESSAGES + 3):
        await inbox.enqueue(make_message(str(number)))
    turn = await claim_one(inbox)
    assert turn
    assert len(turn.incoming) == MAX_MESSAGES
    await inbox.complete(turn, "done")
    turn = await claim_one(inbox)
    assert turn
    assert [one.text for one in turn.incoming] == ["50", "51", "52"]


async def test_a_full_mailbox_takes_no_more(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings, max_waiting=2)
    verdicts = [(await inbox.enqueue(make_message("x", event_id=f"E{n}")))[0] for n in range(3)]
    assert verdicts == ["queued", "merged", "full"]
    turn = await claim_one(inbox)
    assert turn
    await inbox.complete(turn, "done")
    again, _ = await inbox.enqueue(make_message("x", event_id="E2"))
    assert again == "queued", "what was refused was not taken in, so it may come again"


async def test_a_silent_workers_turn_is_taken_over_with_the_same_messages(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
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
    assert not await inbox.complete(lost, "done"), "the silent worker woke too late"
    assert await inbox.complete(again, "done")


@pytest.mark.parametrize("touch", [True, False])
async def test_a_sign_of_life_renews_a_lease_and_a_look_does_not(
    redis: Redis, settings: Settings, touch: bool
) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await mark_idle(redis, inbox, turn)
    assert await inbox.renew("w1", [turn], touch=touch) == {}
    assert (await idle_ms(redis, inbox, turn) < HOUR_MS) == touch


async def test_a_turn_that_its_own_worker_claims_is_renewed_and_not_begun_again(
    redis: Redis, settings: Settings
) -> None:
    """A starved process finds its turn silent like any other, and still runs it."""
    inbox = make_inbox(redis, settings)
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
    turns, _ = await inbox.claim("w1", 1, ALL)
    assert turns, "an older token proves nothing"


async def test_a_silent_turn_is_found_behind_many_that_live(
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


async def test_workers_that_left_nothing_and_are_long_gone_are_taken_off_the_list(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings.model_copy(update={"bot_shards": 1}))
    for place in ("C1", "C2"):
        await inbox.enqueue(make_message("one", place))
    await inbox.claim("left two turns", 2, [0])
    await inbox.claim("left nothing", 1, [0])

    async def listed() -> list[bytes]:
        found = await redis.xinfo_consumers(inbox.keys.of(0, "ready"), "w")
        return [one["name"] for one in found]

    assert await listed() == [b"left nothing", b"left two turns"]
    assert await wait_until(lambda: claim_abandoned(inbox, "alive", min_idle_ms=1))

    async def they_are_off_the_list() -> bool:
        await claim_abandoned(inbox, "alive", min_idle_ms=1)
        return b"left nothing" not in await listed()

    await wait_until(they_are_off_the_list)
    assert b"alive" in await listed()


async def test_a_lost_lease_is_reported(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    lost = await claim_one(inbox, "w1")
    assert lost
    await mark_idle(redis, inbox, lost)
    assert await claim_abandoned(inbox, "w2")
    assert await inbox.renew("w1", [lost]) == {0: "lost"}


async def test_a_failed_turn_comes_again_when_it_is_due(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.complete(turn, "retry", delay_s=60)
    count, next_s = await inbox.promote_due(ALL)
    assert count == 0
    assert next_s is not None
    assert 0 < next_s <= 60
    await inbox.enqueue(make_message("two"))
    assert await claim_one(inbox) is None, "a new message must not overtake the one that waits"
    await make_due(redis, inbox)
    assert (await inbox.promote_due(ALL))[0] == 1
    again = await claim_one(inbox)
    assert again
    assert ([one.text for one in again.incoming], again.tries, again.fails) == (["one"], 2, 1)


async def test_handing_over_costs_no_try(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
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
        seen.append(([one.text for one in turn.incoming], turn.tries))
        await inbox.complete(turn, "done")
    assert seen == [(["a"], 5), (["b"], 5), (["c", "d"], 1)]


async def test_a_dead_letter_is_listed_retried_and_dropped(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
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


async def test_stop_marks_what_runs_and_drops_what_waited_before_it(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
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
        [await claim_one(inbox), await claim_one(inbox)], key=lambda one: one.incoming[0].kind
    )
    assert side.lane.endswith(SIDE_LANE)
    assert [one.text for one in following.incoming] == ["after the stop"]


@pytest.mark.parametrize("state", ["queued", "retrying", "held"])
async def test_stop_drops_what_has_not_begun_and_the_next_message_runs(
    redis: Redis, settings: Settings, state: str
) -> None:
    inbox = make_inbox(redis, settings)
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
    assert [one.text for one in turn.incoming] == ["two"]


async def test_stop_keeps_commands_and_overheard_messages(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
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
async def test_a_word_to_stop_outlives_the_worker_that_did_not_hear_it(
    redis: Redis, settings: Settings, end: str
) -> None:
    inbox = make_inbox(redis, settings)
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
        await inbox.promote_due(ALL)
        turn = await claim_one(inbox, "w2")
    assert turn
    assert turn.is_stopped
    await inbox.enqueue(make_message("next"))
    await inbox.complete(turn, "done")
    turn = await claim_one(inbox)
    assert turn
    assert not turn.is_stopped, "it was no word about what came later"


async def test_what_a_stop_leaves_waits_for_no_failure_any_more(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.complete(turn, "retry", delay_s=60)
    await inbox.enqueue(make_message("reset", kind="command"))
    await inbox.stop(make_message("x").session)
    turn = await claim_one(inbox)
    assert turn
    assert [one.text for one in turn.incoming] == ["reset"]


async def test_a_held_turn_waits_for_the_rest_and_is_one(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    for number in range(3):
        await inbox.enqueue(make_message(f"picture {number}"), hold_s=60)
    assert await claim_one(inbox) is None
    await redis.hset(conv_of(inbox), "hold", 1)
    await make_due(redis, inbox)
    await inbox.promote_due(ALL)
    turn = await claim_one(inbox)
    assert turn
    assert len(turn.incoming) == 3


async def test_what_arrives_in_parts_while_a_turn_runs_is_held_after_it(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    turn = await claim_one(inbox)
    assert turn
    await inbox.enqueue(make_message("part 1"), hold_s=60)
    await inbox.complete(turn, "done")
    assert await claim_one(inbox) is None
    await inbox.enqueue(make_message("part 2"))
    turn = await claim_one(inbox)
    assert turn
    assert [one.text for one in turn.incoming] == ["part 1", "part 2"]


async def test_parts_that_arrive_while_a_turn_is_ready_are_waited_for(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("look at these"))
    await inbox.enqueue(make_message("picture 1"), hold_s=60)
    assert await claim_one(inbox) is None
    await inbox.enqueue(make_message("that is all"))
    turn = await claim_one(inbox)
    assert turn
    assert len(turn.incoming) == 3


async def test_a_moved_conversation_takes_along_what_waits(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    old, new = make_message("x", "old").session, make_message("x", "new").session
    for text in ("a", "b"):
        await inbox.enqueue(make_message(text, "old", event_id=f"E{text}"))
    assert await inbox.migrate(old, new) == 2
    turn = await claim_one(inbox)
    assert turn is None or turn.session == new
    turn = turn or await claim_one(inbox)
    assert turn
    assert [one.text for one in turn.incoming] == ["a", "b"]
    assert turn.incoming[0].session == new
    await inbox.complete(turn, "done")
    await claim_one(inbox)
    assert await keys_left(redis, settings) == []


async def test_a_group_that_went_with_a_crash_is_made_again(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    for shard in ALL:
        if await redis.exists(inbox.keys.of(shard, "ready")):
            await redis.xgroup_create(inbox.keys.of(shard, "ready"), "w", "0")
            await redis.xgroup_destroy(inbox.keys.of(shard, "ready"), "w")
    assert await claim_one(inbox)


async def test_a_message_nobody_can_read_is_given_up_and_not_in_the_way(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
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


async def test_tokens_grow_even_when_the_clock_goes_back(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    shard = inbox.keys.shard(make_message("x").session)
    ahead = 9_000_000_000_000_000
    await redis.set(inbox.keys.of(shard, "clock"), ahead, px=60_000)
    turn = await claim_one(inbox)
    assert turn
    assert turn.token == ahead + 1


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
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_whatever_happens_everything_is_answered_once_and_in_order(
    redis: Redis, settings: Settings, steps: list[tuple[str, str]]
) -> None:
    """A law over any history of puts, turns, failures and crashed workers."""
    await redis.flushall()
    inbox = make_inbox(redis, settings)
    held: list[ClaimedTurn] = []
    put: dict[str, list[str]] = {place: [] for place in PLACES}
    answered: dict[str, list[str]] = {place: [] for place in PLACES}

    async def end(turn: ClaimedTurn, outcome: str) -> None:
        ours = await inbox.complete(turn, outcome)
        if outcome == "done" and ours:
            answered[turn.session.place] += [one.text for one in turn.incoming]

    async def take(worker: str) -> None:
        await inbox.promote_due(ALL)
        held.extend((await inbox.claim(worker, 2, ALL))[0])

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
            held.extend(await inbox.claim_abandoned("w3", 9, ALL, min_idle_ms=ABANDONED_MS))
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
