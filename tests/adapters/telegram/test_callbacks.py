"""Callback queries, reactions and stop buttons."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from adapters.telegram.inbound.callbacks import rating_of
from bot.settings import Settings
from tests.adapters.telegram.harness import (
    ANNA,
    BEN,
    CLEO,
    EVE,
    FORUM,
    GROUP,
    World,
    serving,
)
from tests.fakes.model_server import ModelServer, stall
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


async def answer_to_press(world: World, chat: int, message_id: int, who: int, data: str) -> str:
    """What somebody reads who presses a button."""
    query = world.telegram.press(chat, message_id, who, data)
    await wait_until(lambda: query in world.telegram.answered)
    return str(world.telegram.answered[query].get("text", ""))


def rated(world: World, verdict: str) -> float:
    return world.counted("keepthread_feedback", verdict=verdict)


async def test_an_offer_can_be_declined(world: World) -> None:
    said = world.telegram.say(ANNA, ANNA, "How tall is it?")
    await world.answered(ANNA, "How tall is it?")
    world.telegram.edit(ANNA, said, "How deep is it?")
    shown = await world.answered(ANNA, "You changed your question.")
    world.telegram.press(ANNA, shown.id, ANNA, "do::")
    await wait_until(lambda: shown.data == [])
    await world.settled()
    assert len(world.model.requests) == 1


async def test_the_stop_button_stops_and_keeps_what_was_said(world: World) -> None:
    world.model.default = stall("Once upon a time ")
    world.telegram.say(GROUP, BEN, "@keepthread_bot tell me a story")
    await wait_until(lambda: any(one.data == ["stop::"] for one in world.telegram.seen(GROUP)))
    (shown,) = world.telegram.seen(GROUP)
    query = world.telegram.press(GROUP, shown.id, CLEO, "stop::")
    await wait_until(lambda: shown.data == [])
    assert shown.text == "Once upon a time"
    assert world.telegram.answered[query]["text"] == "Stopped."
    (turn,) = await world.remembered(GROUP)
    assert (turn.state, turn.answer.strip()) == ("stopped", "Once upon a time")


async def test_the_stop_button_of_telegram_stops_a_draft(world: World) -> None:
    world.model.default = stall("Once upon a time ")
    world.telegram.say(ANNA, ANNA, "tell me a story")
    chat = world.telegram.chat(ANNA)
    await wait_until(lambda: "Once upon a time" in chat.drafts_shown)
    world.telegram.stop_draft(ANNA)
    await world.answered(ANNA, "Once upon a time")
    (turn,) = await world.remembered(ANNA)
    assert turn.state == "stopped"


async def test_a_press_is_authorized_before_anything_happens(world: World) -> None:
    world.telegram.group(-1009, "Elsewhere")
    world.model.default = stall("Once ")
    world.telegram.say(ANNA, ANNA, "tell me")
    await wait_until(lambda: world.model.open_streams)
    forged = world.telegram.message(-1009, BEN, "x")
    for data in ("stop::", "do::reset", "rate::up"):
        assert "not on the list" in await answer_to_press(
            world, -1009, forged["message_id"], EVE, data
        )
    assert world.model.open_streams == 1


async def test_an_offer_of_an_admins_command_is_refused_to_others(world: World) -> None:
    world.telegram.say(GROUP, BEN, "@keepthread_bot hello")
    shown = await world.answered(GROUP, "hello")
    assert "for admins" in await answer_to_press(world, GROUP, shown.id, BEN, "do::reset")
    assert await world.remembered(GROUP)


async def test_a_rating_is_taken_in_and_can_be_taken_back(world: World) -> None:
    world.telegram.say(ANNA, ANNA, "hello")
    shown = await world.answered(ANNA, "hello")
    world.telegram.press(ANNA, shown.id, ANNA, "rate::up")
    await wait_until(lambda: shown.data == ["rate::", "rate::down"])
    await wait_until(lambda: rated(world, "up") == 1)
    world.telegram.press(ANNA, shown.id, ANNA, "rate::")
    await wait_until(lambda: shown.data == ["rate::up", "rate::down"])
    await wait_until(lambda: rated(world, "none") == 1)


async def test_a_reaction_rates_also_in_a_topic(world: World) -> None:
    world.telegram.say(FORUM, BEN, "@keepthread_bot hello", thread=5)
    shown = await world.answered(FORUM, "hello", topic=5)
    await world.settled()
    world.telegram.react(FORUM, shown.id, BEN, "👎")
    await wait_until(lambda: rated(world, "down") == 1)


async def test_a_reaction_after_a_restart_still_finds_its_topic(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(telegram, model, settings, monkeypatch) as world:
        telegram.say(FORUM, BEN, "@keepthread_bot hello", thread=5)
        shown = await world.answered(FORUM, "hello", topic=5)
        await world.settled()
    async with serving(telegram, model, settings, monkeypatch) as world:
        telegram.react(FORUM, shown.id, BEN, "👍")
        await wait_until(lambda: rated(world, "up") == 1)


async def test_feedback_names_the_turn_that_it_is_about(world: World) -> None:
    world.telegram.say(ANNA, ANNA, "hello")
    shown = await world.answered(ANNA, "hello")
    await world.settled()
    (turn,) = await world.remembered(ANNA)
    with capture_logs() as logs:
        world.telegram.press(ANNA, shown.id, ANNA, "rate::down")
        await wait_until(lambda: [entry for entry in logs if entry["event"] == "feedback"])
    (line,) = [entry for entry in logs if entry["event"] == "feedback"]
    assert (line["of"], line["value"], line["by"]) == (turn.id, "down", str(ANNA))


@pytest.mark.parametrize(
    ("emoji", "rating"),
    [(["👍"], "up"), (["❤️"], "up"), (["👎", "👍"], "down"), (["🤔"], ""), ([], "")],
)
def test_reactions_mean_up_or_down_or_nothing(emoji: list[str], rating: str) -> None:
    assert rating_of(emoji) == rating
