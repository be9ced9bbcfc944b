"""The whole bot in Telegram, as people meet it."""

from __future__ import annotations

from tests.adapters.telegram_world import (
    ANNA,
    BEN,
    EVE,
    FORUM,
    GROUP,
    World,
    model,
    telegram,
    world,
)
from tests.waiting import wait_until

__all__ = ["model", "telegram", "world"]


async def test_a_private_chat_is_answered_and_remembers(world: World) -> None:
    world.telegram.say(ANNA, ANNA, "My name is Anna.")
    await world.answered(ANNA, "You said: My name is Anna.")
    world.telegram.say(ANNA, ANNA, "What is my name?")
    await world.answered(ANNA, "Your name is Anna.")


async def test_topics_of_one_forum_never_mix_and_answers_land_in_their_topic(world: World) -> None:
    world.telegram.say(FORUM, BEN, "@keepthread_bot my name is Cat", thread=5)
    await world.answered(FORUM, "my name is Cat", topic=5)
    world.telegram.say(FORUM, BEN, "@keepthread_bot what is my name?", thread=6)
    await world.answered(FORUM, "I do not know your name.", topic=6)
    world.telegram.say(FORUM, BEN, "@keepthread_bot what is my name?", thread=5)
    await world.answered(FORUM, "Your name is Cat.", topic=5)
    assert world.telegram.texts(FORUM) == []


async def test_a_private_dialogue_never_shows_up_in_a_group(world: World) -> None:
    world.telegram.say(BEN, BEN, "My name is Ben.")
    await world.answered(BEN, "You said")
    world.telegram.say(GROUP, BEN, "@keepthread_bot what is my name?")
    await world.answered(GROUP, "I do not know your name.")


async def test_an_unlisted_person_reaches_no_model_and_is_told_once_whom_to_ask(
    world: World,
) -> None:
    world.telegram.say(EVE, EVE, "Hello?")
    world.telegram.say(EVE, EVE, "Hello?")
    shown = await world.answered(EVE, "telegram:66")
    world.telegram.say(ANNA, ANNA, "Hi")
    await world.answered(ANNA, "You said: Hi")
    assert world.telegram.seen(EVE) == [shown]
    assert len(world.model.requests) == 1


async def test_a_reset_in_a_group_is_for_its_administrators(world: World) -> None:
    world.telegram.say(GROUP, BEN, "@keepthread_bot my name is Ben")
    await world.answered(GROUP, "You said")
    world.telegram.say(GROUP, BEN, "/reset@keepthread_bot")
    await world.answered(GROUP, "is for admins here")
    assert await world.remembered(GROUP)
    world.telegram.say(GROUP, ANNA, "/reset@keepthread_bot")
    await world.answered(GROUP, "Forgotten: 1 turn.")
    await wait_until(lambda: not world.telegram.chat(GROUP).drafts)
    assert await world.remembered(GROUP) == []
