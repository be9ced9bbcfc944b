"""Media groups and cut pastes become one message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.telegram.connection import TelegramConnection
from bot.settings import Settings
from tests.adapters.telegram.harness import (
    ANNA,
    BEN,
    CLEO,
    GROUP,
    World,
    serving,
)
from tests.fakes.model_server import ModelServer, say
from tests.fakes.telegram.server import TelegramServer


def photo(telegram: TelegramServer, name: str) -> list[dict[str, Any]]:
    file_id = telegram.upload(f"{name}.jpg", b"\xff\xd8" + name.encode())
    size = {"file_id": file_id, "file_unique_id": file_id, "width": 90, "height": 90}
    return [{**size, "file_size": 10}]


@pytest.fixture
def long_hold_for_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a starved process the parts are further apart."""
    monkeypatch.setattr(TelegramConnection, "part_wait_s", 5.0)


@pytest.mark.usefixtures("long_hold_for_parts")
async def test_an_album_is_one_message_with_all_its_pictures(world: World) -> None:
    world.model.default = say("Pictures.")
    for name in ("one", "two", "three"):
        more: dict[str, Any] = {"caption": "What are these?"} if name == "one" else {}
        world.telegram.say(
            ANNA, ANNA, photo=photo(world.telegram, name), media_group_id="album", **more
        )
    await world.answered(ANNA, "Pictures.")
    (request,) = world.model.requests
    parts = request.messages[-1]["content"]
    assert [part["type"] for part in parts].count("image_url") == 3


@pytest.mark.usefixtures("long_hold_for_parts")
async def test_an_album_in_a_group_is_for_the_bot_wherever_its_mention_is(
    world: World,
) -> None:
    world.model.default = say("Pictures.")
    for name in ("one", "two", "three"):
        more: dict[str, Any] = {}
        if name == "two":
            entities = [{"type": "mention", "offset": 0, "length": 15}]
            more = {"caption": "@keepthread_bot these?", "caption_entities": entities}
        world.telegram.say(
            GROUP, BEN, photo=photo(world.telegram, name), media_group_id="album", **more
        )
    await world.answered(GROUP, "Pictures.")
    await world.settled()
    (request,) = world.model.requests
    parts = request.messages[-1]["content"]
    assert [part["type"] for part in parts].count("image_url") == 3


async def test_an_album_that_is_not_for_the_bot_is_overheard_by_its_caption(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telegram.reads_all_group_messages = True
    async with serving(telegram, model, settings, monkeypatch) as world:
        telegram.say(GROUP, BEN, "@keepthread_bot hello")
        await world.answered(GROUP, "hello")
        for name in ("one", "two"):
            more: dict[str, Any] = {"caption": "My name is Rex"} if name == "one" else {}
            telegram.say(GROUP, CLEO, photo=photo(telegram, name), media_group_id="dog", **more)
        telegram.say(GROUP, BEN, "@keepthread_bot what is my name?")
        await world.answered(GROUP, "Your name is Rex")
        assert len(model.requests) == 2


@pytest.mark.usefixtures("long_hold_for_parts")
async def test_a_long_paste_that_an_app_cut_is_one_message_also_in_a_group(world: World) -> None:
    world.model.default = say("Read.")
    world.telegram.say(GROUP, BEN, "@keepthread_bot " + "a" * 4_070)
    world.telegram.say(GROUP, BEN, "b" * 4_096)
    world.telegram.say(GROUP, BEN, "the end")
    world.telegram.say(GROUP, CLEO, "not for the bot")
    await world.answered(GROUP, "Read.")
    await world.settled()
    assert len(world.model.requests) == 1
    text = world.prompt()
    assert ("a" * 4_070 in text, "b" * 4_096 in text, "the end" in text) == (True, True, True)
    assert "not for the bot" not in text


ORIGIN = {
    "type": "channel",
    "date": 1,
    "chat": {"id": -5, "type": "channel", "title": "News"},
    "message_id": 3,
}
PATIENT = {"TELEGRAM_COMMENT_WAIT_S": "5"}
"""In a starved process a comment and its forward are further apart."""


async def one_turn(world: World, chat: int, *parts: str) -> None:
    """The model is asked once, with all `parts` in this order."""
    await world.answered(chat, "Read.")
    await world.settled()
    assert len(world.model.requests) == 1
    prompt = world.prompt()
    places = [prompt.index(part) for part in parts]
    assert places == sorted(places)


@pytest.fixture
async def reading_world(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """The whole bot, which sees all messages of groups, and waits for forwards."""
    telegram.reads_all_group_messages = True
    model.default = say("Read.")
    async with serving(telegram, model, settings, monkeypatch, PATIENT) as world:
        yield world


@pytest.mark.parametrize(("chat", "mention"), [(ANNA, ""), (GROUP, "@keepthread_bot ")])
async def test_a_comment_and_what_it_forwards_are_one_turn(
    reading_world: World, chat: int, mention: str
) -> None:
    """T7: the app sends both as one act, in groups too."""
    world = reading_world
    world.telegram.say(chat, ANNA, f"{mention}what is wrong with this claim?")
    world.telegram.say(chat, ANNA, "the moon is cheese", forward_origin=ORIGIN)
    world.telegram.say(chat, ANNA, "and the sun is soup", forward_origin=ORIGIN)
    await one_turn(world, chat, "what is wrong", "[forwarded from News]\n", "the sun is soup")


async def test_a_forwarded_album_is_one_turn_with_its_comment(reading_world: World) -> None:
    """T7: pictures among what is forwarded."""
    world = reading_world
    world.telegram.say(GROUP, ANNA, "@keepthread_bot which is the nicest?")
    for name in ("one", "two"):
        more = {"photo": photo(world.telegram, name), "media_group_id": "album"}
        world.telegram.say(GROUP, ANNA, forward_origin=ORIGIN, **more)
    await one_turn(world, GROUP, "which is the nicest?")
    content = world.model.requests[-1].messages[-1]["content"]
    assert [part["type"] for part in content].count("image_url") == 2


async def test_a_forward_before_its_comment_belongs_to_it(reading_world: World) -> None:
    """T7: where an app sends them the other way round, also in a group."""
    world = reading_world
    world.telegram.say(GROUP, ANNA, "the moon is cheese", forward_origin=ORIGIN)
    world.telegram.say(GROUP, ANNA, "@keepthread_bot what is wrong with this claim?")
    await one_turn(world, GROUP, "the moon is cheese", "what is wrong")


async def test_a_forward_of_somebody_else_or_much_later_is_not_for_the_bot(
    reading_world: World,
) -> None:
    """T7: in a group a forward needs a comment of the same person, of the same moment."""
    world = reading_world
    said = world.telegram.say(GROUP, ANNA, "@keepthread_bot what is wrong with this claim?")
    world.telegram.say(GROUP, BEN, "the sun is soup", forward_origin=ORIGIN)
    later = world.telegram.chat(GROUP).messages[said].raw["date"] + 30
    world.telegram.say(GROUP, ANNA, "the moon is cheese", forward_origin=ORIGIN, date=later)
    await world.answered(GROUP, "Read.")
    await world.settled()
    assert len(world.model.requests) == 1
    assert "the sun is soup" not in world.prompt().partition("what is wrong")[2]
    assert "the moon is cheese" not in world.prompt()
