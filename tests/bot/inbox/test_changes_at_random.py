"""Edits and deletions among all other steps of the inbox, in random order: each turn holds the messages as they are."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.settings import Settings
from tests.support.inbox_harness import (
    ALL_SHARDS,
    claim_abandoned,
    claim_one,
    keys_left,
    make_due,
    mark_idle,
)
from tests.support.messages import make_message

STEPS = 60


@dataclass
class Conversation:
    """A conversation, and what is expected of it.

    Attributes:
        texts: present text of each message that was not deleted, in the order of arrival.
        answered: ids of messages whose turn was completed.
        turn: the turn that runs.
        deleted_in_turn: whether one of its messages was deleted since it was claimed.
    """

    inbox: Inbox
    redis: Redis
    rng: random.Random
    texts: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    turn: ClaimedTurn | None = None
    deleted_in_turn: bool = False
    count: int = 0

    async def enqueue(self, *, may_hold: bool = True) -> None:
        self.count += 1
        id_ = f"m{self.count}"
        self.texts[id_] = f"text {self.count}"
        hold_s = self.rng.choice((0, 0, 0, 60)) if may_hold else 0
        await self.inbox.enqueue(make_message(self.texts[id_], message_id=id_), hold_s=hold_s)

    async def edit(self) -> None:
        if self.texts:
            self.count += 1
            id_ = self.rng.choice(list(self.texts))
            self.texts[id_] = f"edited {self.count}"
            change = make_message(self.texts[id_], message_id=id_, kind="edit")
            await self.inbox.change(change)

    async def delete(self) -> None:
        if self.texts:
            id_ = self.rng.choice(list(self.texts))
            del self.texts[id_]
            running = self.turn.incoming if self.turn else ()
            ids = [item.message_id for item in running if item.kind == "message"]
            self.deleted_in_turn |= id_ in ids
            await self.inbox.change(make_message("", message_id=id_, kind="delete"))

    async def claim(self) -> None:
        if self.turn is None:
            await make_due(self.redis, self.inbox)
            await self.inbox.promote_due(ALL_SHARDS)
            self.begin(await claim_one(self.inbox))

    async def crash(self) -> None:
        if self.turn is not None:
            await mark_idle(self.redis, self.inbox, self.turn)
            self.begin(await claim_abandoned(self.inbox, f"w{self.count}"))

    def begin(self, turn: ClaimedTurn | None) -> None:
        self.turn, self.deleted_in_turn = turn, False
        if turn is None or turn.incoming[0].kind != "message":
            return
        held = {item.message_id: item.text for item in turn.incoming}
        assert held == {id_: self.texts.get(id_) for id_ in held}
        assert list(held) == [id_ for id_ in self.texts if id_ in held], "out of order"
        assert not self.answered & held.keys(), "answered twice"

    async def complete(self) -> None:
        if self.turn is None:
            return
        news = await self.inbox.renew("w", [self.turn], touch=False)
        assert news == ({0: "withdrawn"} if self.deleted_in_turn else {})
        outcome = self.rng.choice(("done", "done", "retry", "requeue", "split"))
        if self.turn.incoming[0].kind != "message" and outcome == "split":
            outcome = "done"
        if self.deleted_in_turn:
            outcome = "requeue"
        assert await self.inbox.complete(self.turn, outcome, delay_s=60)
        if outcome == "done" and self.turn.incoming[0].kind == "message":
            self.answered |= {item.message_id for item in self.turn.incoming}
        self.turn = None


@pytest.mark.parametrize("seed", range(12))
async def test_each_turn_holds_its_messages_as_they_are(
    inbox: Inbox, redis: Redis, settings: Settings, seed: int
) -> None:
    """S3: whatever happens between arrival and turn, in whichever order."""
    rng = random.Random(seed)
    talk = Conversation(inbox, redis, rng)
    steps = (
        talk.enqueue,
        talk.enqueue,
        talk.edit,
        talk.delete,
        talk.claim,
        talk.complete,
        talk.crash,
    )
    for _ in range(STEPS):
        await rng.choice(steps)()
    await talk.enqueue(may_hold=False)  # it ends the wait for more of the same
    while await keys_left(redis, settings):
        await talk.complete()
        await talk.claim()
    assert set(talk.texts) <= talk.answered, "a message was lost"
