"""Edits in Telegram while a message waits: the model is asked what it says when its turn begins."""

from __future__ import annotations

import asyncio

from tests.adapters.telegram.harness import ANNA, BEN, GROUP, World
from tests.fakes.model_server import say_after
from tests.support.wait import wait_until


async def test_a_waiting_message_is_answered_in_its_edited_words(world: World) -> None:
    """S3: Telegram edits too."""
    gate = asyncio.Event()
    world.model.script = [say_after(gate, "the first answer")]
    world.telegram.say(ANNA, ANNA, "one")
    await wait_until(lambda: world.model.requests)
    mistyped = world.telegram.say(ANNA, ANNA, "tow SECRET")
    world.telegram.edit(ANNA, mistyped, "two")
    last = world.telegram.say(ANNA, ANNA, "three")
    world.telegram.edit(ANNA, last, "3")
    await wait_until(lambda: not world.telegram.updates)
    gate.set()
    await world.settled()
    assert world.telegram.texts(ANNA) == ["the first answer", "You said: two\n\n3"]
    assert "SECRET" not in str([request.messages for request in world.model.requests])


async def test_a_waiting_mention_in_a_group_is_answered_in_its_edited_words(world: World) -> None:
    """S3: in a group, where messages name their speakers."""
    gate = asyncio.Event()
    world.model.script = [say_after(gate, "the first answer")]
    world.telegram.say(GROUP, BEN, "@keepthread_bot one")
    await wait_until(lambda: world.model.requests)
    mistyped = world.telegram.say(GROUP, BEN, "@keepthread_bot tow SECRET")
    world.telegram.edit(GROUP, mistyped, "@keepthread_bot two")
    await wait_until(lambda: not world.telegram.updates)
    gate.set()
    await world.settled()
    assert len(world.model.requests) == 2
    asked = str(world.model.requests[1].messages)
    assert "two" in asked
    assert "SECRET" not in asked
