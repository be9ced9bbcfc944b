"""Decisions on whom a message is for: after an edit, and where several bots are named."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from bot.settings import Settings
from tests.adapters.telegram.harness import ANNA, BEN, GROUP, World, serving
from tests.fakes.model_server import ModelServer
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


@pytest.fixture
async def reading_world(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """The whole bot, which sees all messages of groups."""
    telegram.reads_all_group_messages = True
    async with serving(telegram, model, settings, monkeypatch) as world:
        yield world


async def test_a_mention_added_by_an_edit_is_answered_once(world: World) -> None:
    """T13: somebody forgot the name, and adds it."""
    said = world.telegram.say(GROUP, BEN, "what is a monad?")
    world.telegram.edit(GROUP, said, "@keepthread_bot what is a monad?")
    await world.answered(GROUP, "what is a monad?")
    world.telegram.edit(GROUP, said, "@keepthread_bot what is a monad, then?")
    await world.answered(GROUP, "You changed your question.")
    await world.settled()
    assert len(world.model.requests) == 1
    (turn,) = await world.remembered(GROUP)
    assert turn.incoming[0].text == "what is a monad, then?"


async def test_an_overheard_message_is_answered_once_an_edit_mentions_the_bot(
    reading_world: World,
) -> None:
    """T13: also where the bot takes part, and had remembered it."""
    world = reading_world
    world.telegram.say(GROUP, BEN, "@keepthread_bot hello")
    await world.answered(GROUP, "hello")
    said = world.telegram.say(GROUP, ANNA, "what is a monad?")
    await world.settled()
    world.telegram.edit(GROUP, said, "what is a monad, @keepthread_bot")
    await wait_until(lambda: len(world.model.requests) == 2)
    await world.settled()
    assert "what is a monad" in world.prompt()


async def test_an_edit_of_an_answered_or_of_an_old_message_asks_nothing_anew(world: World) -> None:
    """T13: only what was not taken in before, and not long after."""
    said = world.telegram.say(GROUP, BEN, "@keepthread_bot hello")
    await world.answered(GROUP, "hello")
    world.telegram.edit(GROUP, said, "@keepthread_bot hello all")
    old = world.telegram.message(GROUP, BEN, "long ago", date=int(time.time()) - 48 * 3600)
    world.telegram.edit(GROUP, old["message_id"], "@keepthread_bot long ago")
    await world.answered(GROUP, "You changed your question.")
    await world.settled()
    assert len(world.model.requests) == 1


async def test_a_reply_to_the_bot_that_names_only_another_bot_is_not_for_it(
    reading_world: World,
) -> None:
    """T13: it is for the bot that is named; with both names, for both."""
    world = reading_world
    world.telegram.say(GROUP, BEN, "@keepthread_bot hello")
    shown = await world.answered(GROUP, "hello")
    world.telegram.say(GROUP, BEN, "@weather_bot is that right?", reply_to=shown.id)
    world.telegram.say(GROUP, BEN, "@weather_bot @keepthread_bot and now?", reply_to=shown.id)
    await world.answered(GROUP, "and now?")
    await world.settled()
    assert len(world.model.requests) == 2
    world.telegram.say(GROUP, BEN, "@anna_smith look at that", reply_to=shown.id)
    await wait_until(lambda: len(world.model.requests) == 3)
