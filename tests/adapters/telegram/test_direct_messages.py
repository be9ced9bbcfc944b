"""Direct messages to a channel: one chat id, and a private talk with each person."""

from __future__ import annotations

from typing import Any

import pytest

from bot.settings import Settings
from tests.adapters.telegram.harness import ANNA, BEN, DIRECT, EVE, World, serving
from tests.fakes.model_server import ModelServer, say
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


async def test_direct_messages_of_two_people_are_two_conversations(world: World) -> None:
    """T8: what one person writes to a channel is in nobody else's prompt, memory or export."""
    world.telegram.say(DIRECT, ANNA, "My name is Zed, my card ends in 4242", thread=21)
    await world.answered(DIRECT, "Zed", 21)
    world.model.default = say("I do not know it.")
    world.telegram.say(DIRECT, BEN, "What is my name?", thread=22)
    await world.answered(DIRECT, "I do not know it.", 22)
    assert "4242" not in str(world.model.requests[-1].messages)
    world.telegram.say(DIRECT, BEN, "/export", thread=22)
    export = await wait_until(
        lambda: next((m.file for m in world.telegram.seen(DIRECT, 22) if m.file), None)
    )
    assert b"What is my name?" in export[1]
    assert b"4242" not in export[1]
    assert [turn.incoming[0].text for turn in await world.remembered(DIRECT, 21)] == [
        "My name is Zed, my card ends in 4242"
    ]


async def test_all_parts_of_an_answer_stay_in_the_direct_messages_of_their_person(
    world: World,
) -> None:
    """T8: previews, pieces and the file of a long answer carry the topic, and nothing unsupported is called."""
    world.model.default = say("word " * 4_000)
    world.telegram.say(DIRECT, ANNA, "Tell me a lot", thread=21)
    await wait_until(lambda: any(m.file for m in world.telegram.seen(DIRECT, 21)))
    await world.settled()
    sent = [p for method in ("sendMessage", "sendDocument") for p in world.telegram.called(method)]
    assert len(sent) > 5
    assert {str(call["direct_messages_topic_id"]) for call in sent} == {"21"}
    assert not any("message_thread_id" in call for call in sent)
    assert not world.telegram.called("sendMessageDraft")
    assert not world.telegram.called("sendChatAction")


async def test_buttons_and_reactions_reach_the_conversation_of_their_person(world: World) -> None:
    """T8: a press and a reaction belong to the direct messages in which the answer stands."""
    world.telegram.say(DIRECT, ANNA, "Hello", thread=21)
    shown = await world.answered(DIRECT, "Hello", 21)
    await world.settled()
    world.telegram.press(DIRECT, shown.id, ANNA, shown.data[0])
    await wait_until(lambda: world.counted("keepthread_feedback", verdict="up"))
    world.telegram.react(DIRECT, shown.id, ANNA, "👎")
    await wait_until(lambda: world.counted("keepthread_feedback", verdict="down"))


@pytest.mark.parametrize("allow", [f"telegram:{DIRECT}", "telegram:*"])
async def test_a_listed_channel_admits_whoever_writes_to_it(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    allow: str,
) -> None:
    """T8: direct messages are private, and are still listed by their chat."""
    async with serving(telegram, model, settings, monkeypatch, bot_allow=(allow,)) as world:
        telegram.say(DIRECT, EVE, "Hello from Eve", thread=66)
        await world.answered(DIRECT, "Hello from Eve", 66)


async def test_a_stranger_is_told_what_to_ask_for_in_their_own_topic(world: World) -> None:
    """T8: a refusal goes to the person it is for."""
    world.telegram.say(DIRECT, EVE, "Hello", thread=66)
    await world.answered(DIRECT, f"telegram:{EVE}", 66)
    assert not world.model.requests


async def test_the_channels_own_answer_to_a_person_is_not_for_the_bot(world: World) -> None:
    """T8: whoever writes for the channel speaks to the person, and asks the bot by its name."""
    channel = {"id": -1009, "type": "channel", "title": "News"}
    staff = {"from": world.telegram.people[BEN], "sender_chat": channel}
    world.telegram.say(DIRECT, ANNA, "Is the shop open?", thread=21)
    await world.answered(DIRECT, "Is the shop open?", 21)
    world.telegram.say(DIRECT, 0, "We open at nine.", thread=21, **staff)
    world.telegram.say(DIRECT, ANNA, "Thanks", thread=21)
    await world.answered(DIRECT, "Thanks", 21)
    await world.settled()
    assert len(world.model.requests) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"business_connection_id": "b1"},
        {"guest_query_id": "g1"},
        {"receiver_user": {"id": 7000, "is_bot": True, "first_name": "K"}},
        {"ephemeral_message_id": 3},
        {"secret_thread_id": 4},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_a_message_of_a_place_without_a_conversation_reaches_none(
    world: World, fields: dict[str, Any]
) -> None:
    """T8: other people's talks under the same chat id are neither remembered nor answered in the chat."""
    world.telegram.say(ANNA, ANNA, "My card ends in 4242", **fields)
    world.telegram.say(ANNA, ANNA, "Hello")
    await world.answered(ANNA, "Hello")
    await world.settled()
    assert "4242" not in str([request.messages for request in world.model.requests])
    assert len(await world.remembered(ANNA)) == 1


async def test_a_direct_message_whose_topic_cannot_be_read_reaches_no_conversation(
    world: World,
) -> None:
    """T8: without its topic nobody knows whose it is."""
    world.telegram.say(DIRECT, ANNA, "My card ends in 4242", direct_messages_topic={"odd": 1})
    world.telegram.say(DIRECT, BEN, "Hello", thread=22)
    await world.answered(DIRECT, "Hello", 22)
    await world.settled()
    assert len(world.model.requests) == 1
    assert not await world.remembered(DIRECT)
