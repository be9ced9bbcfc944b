"""Dispatcher: which messages reach the model, are overheard, or are answered at once."""

from __future__ import annotations

import asyncio

import pytest

from bot.settings import Settings
from tests.adapters.telegram.harness import (
    ANNA,
    BEN,
    CLEO,
    EVE,
    GROUP,
    World,
    allowed,
    serving,
)
from tests.fakes.model_server import ModelServer, say_after, stall, truncated
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


async def test_the_bot_answers_in_a_group_only_when_it_is_addressed(world: World) -> None:
    world.telegram.say(GROUP, BEN, "Lovely weather")
    world.telegram.say(GROUP, BEN, "/reset@other_bot")
    world.telegram.say(GROUP, BEN, "/unknown")
    world.telegram.say(GROUP, BEN, "@keepthread_bot good morning")
    shown = await world.answered(GROUP, "You said: Ben: good morning")
    world.telegram.say(GROUP, CLEO, "and to me", reply_to=shown.id)
    await world.answered(GROUP, "and to me")
    await world.settled()
    assert len(world.telegram.seen(GROUP)) == 2


async def test_messages_to_others_are_remembered_but_not_answered_where_the_bot_takes_part(
    world: World,
) -> None:
    world.telegram.say(GROUP, BEN, "before anybody asked me in")
    world.telegram.say(GROUP, BEN, "@keepthread_bot hello")
    await world.answered(GROUP, "hello")
    world.telegram.say(GROUP, CLEO, "my name is Cleo, by the way")
    await world.settled()
    assert len(world.model.requests) == 1
    world.telegram.say(GROUP, BEN, "@keepthread_bot what is my name?")
    await world.answered(GROUP, "Your name is Cleo")
    texts = [incoming.text for turn in await world.remembered(GROUP) for incoming in turn.incoming]
    assert "before anybody asked me in" not in texts


async def test_a_message_that_is_replied_to_is_given_to_the_model(world: World) -> None:
    said = world.telegram.say(GROUP, BEN, "the moon is made of cheese")
    world.telegram.say(GROUP, ANNA, "@keepthread_bot is that so?", reply_to=said)
    await world.answered(GROUP, "is that so?")
    assert "> Ben: the moon is made of cheese" in world.prompt()


async def test_a_group_that_is_not_listed_reaches_no_model_even_for_listed_people(
    world: World,
) -> None:
    world.telegram.group(-1009, "Elsewhere")
    world.telegram.say(-1009, EVE, "hi everybody")
    world.telegram.say(-1009, EVE, "@keepthread_bot hi")
    world.telegram.say(-1009, ANNA, "@keepthread_bot hi")
    await world.answered(-1009, "ask the person who runs me to add telegram:-1009")
    await world.settled()
    assert len(world.telegram.seen(-1009)) == 1
    assert world.model.requests == []


async def test_membership_of_a_listed_group_gives_no_right_in_private(world: World) -> None:
    world.telegram.say(GROUP, EVE, "@keepthread_bot hi")
    await world.answered(GROUP, "hi")
    world.telegram.say(EVE, EVE, "hi")
    await world.answered(EVE, "telegram:66")
    assert len(world.model.requests) == 1


async def test_the_bots_bare_commands_count_only_where_it_takes_part(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telegram.reads_all_group_messages = True
    async with serving(telegram, model, settings, monkeypatch) as world:
        telegram.say(GROUP, ANNA, "/whoami")
        telegram.say(GROUP, ANNA, "@keepthread_bot hello")
        await world.answered(GROUP, "hello")
        telegram.say(GROUP, ANNA, "/whoami")
        await world.answered(GROUP, "You are Anna")
        await world.settled()
        assert len(telegram.seen(GROUP)) == 2


async def test_an_anonymous_administrator_may_reset(world: World) -> None:
    world.telegram.say(GROUP, GROUP, "/reset@keepthread_bot")
    await world.answered(GROUP, "There was nothing to forget.")


async def test_comments_of_a_post_are_answered_under_it(world: World) -> None:
    post = world.telegram.message(GROUP, BEN, "Big news", is_automatic_forward=True)
    post["sender_chat"] = {"id": -1009, "type": "channel", "title": "News"}
    asked = world.telegram.say(
        GROUP,
        CLEO,
        "@keepthread_bot what is new?",
        reply_to=post["message_id"],
        message_thread_id=post["message_id"],
    )
    shown = await world.answered(GROUP, "what is new?")
    assert shown.reply_to == asked
    assert "> News: Big news" in world.prompt()


async def test_the_conversation_of_a_group_moves_along_with_it(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telegram.group(-55, "Small")
    listed = allowed(-55, -10055)
    async with serving(telegram, model, settings, monkeypatch, bot_allow=listed) as world:
        telegram.say(-55, BEN, "@keepthread_bot my name is Ben")
        await world.answered(-55, "You said")
        telegram.migrate(-55, -10055)
        telegram.say(-10055, BEN, "@keepthread_bot what is my name?")
        await world.answered(-10055, "Your name is Ben")
        assert await world.service.services.sessions.get(world.session(-55)) is None


async def test_an_answer_that_is_written_while_its_group_moves_is_sent_and_remembered_there(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telegram.group(-55, "Small")
    listed = allowed(-55, -10055)
    async with serving(telegram, model, settings, monkeypatch, bot_allow=listed) as world:
        telegram.say(-55, BEN, "@keepthread_bot my name is Ben")
        await world.answered(-55, "You said")
        gate = asyncio.Event()
        model.script = [say_after(gate, "Hello, Ben.")]
        telegram.say(-55, BEN, "@keepthread_bot greet me")
        await wait_until(lambda: model.open_streams)
        telegram.migrate(-55, -10055)
        gate.set()
        await world.answered(-10055, "Hello, Ben.")
        telegram.say(-10055, BEN, "@keepthread_bot what is my name?")
        await world.answered(-10055, "Your name is Ben.")
        await world.settled()
        answers = [turn.answer for turn in await world.remembered(-10055)]
        assert answers == ["You said: Ben: my name is Ben", "Hello, Ben.", "Your name is Ben."]


async def test_an_answer_finds_the_group_that_moved_while_it_was_written(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telegram.group(-55, "Small")
    listed = allowed(-55, -10055)
    env = {"TELEGRAM_STREAMING": "off"}
    async with serving(telegram, model, settings, monkeypatch, env, bot_allow=listed) as world:
        gate = asyncio.Event()
        model.default = say_after(gate, "Your name is Ben, I think, if nobody moves.")
        telegram.say(-55, BEN, "@keepthread_bot what is my name?")
        await wait_until(lambda: model.open_streams)
        telegram.chat(-55).migrated_to = -10055
        telegram.group(-10055, "Small")
        gate.set()
        await world.answered(-10055, "Your name is Ben")
        await world.settled()
        assert len(await world.remembered(-10055)) == 1
        assert len(model.requests) == len(telegram.seen(-10055)) == 1


async def test_a_document_is_read_and_a_too_large_one_is_not_even_fetched(world: World) -> None:
    note = world.telegram.upload("note.txt", b"the secret word is xylophone")
    document = {"file_id": note, "file_unique_id": note, "file_name": "note.txt", "file_size": 28}
    world.telegram.say(ANNA, ANNA, caption="Read this", document=document)
    await world.answered(ANNA, "xylophone")
    fetched = len(world.telegram.called("getFile"))
    world.telegram.say(
        ANNA, ANNA, caption="And this", document={**document, "file_size": 21 * 1024 * 1024}
    )
    await world.answered(ANNA, "is larger than")
    assert len(world.telegram.called("getFile")) == fetched


async def test_unsupported_contents_are_named_to_the_person(world: World) -> None:
    video = {"file_id": "v", "file_unique_id": "v", "width": 1, "height": 1, "duration": 1}
    world.telegram.say(ANNA, ANNA, video=video)
    await world.answered(ANNA, "I cannot read videos, sorry.")
    assert world.model.requests == []
    world.telegram.say(ANNA, ANNA, caption="funny, is it not?", video=video)
    await world.answered(ANNA, "funny, is it not?")
    assert "[I cannot read it]" in world.prompt()


async def test_a_sticker_reaches_the_model_in_words(world: World) -> None:
    sticker = {
        "file_id": "s", "file_unique_id": "s", "width": 1, "height": 1, "type": "regular",
        "is_animated": False, "is_video": False, "emoji": "🙃",
    }  # fmt: skip
    world.telegram.say(ANNA, ANNA, sticker=sticker)
    await world.answered(ANNA, "[sticker 🙃]")


async def test_contents_newer_than_the_sdk_are_called_unknown(world: World) -> None:
    world.telegram.say(ANNA, ANNA, hologram={"file_id": "h"})
    await world.answered(ANNA, "I cannot read messages of this kind, sorry.")
    pinned = world.telegram.message(ANNA, ANNA, "hi")
    world.telegram.say(ANNA, ANNA, pinned_message=pinned)  # of the machinery, not of Anna
    await world.settled()
    assert len(world.telegram.seen(ANNA)) == 1


async def test_a_voice_message_is_transcribed_where_the_endpoint_can(world: World) -> None:
    world.model.transcript = "the secret word is xylophone"
    voice = world.telegram.upload("voice.oga", b"OggS")
    raw = {"file_id": voice, "file_unique_id": voice, "file_size": 4, "duration": 3}
    world.telegram.say(ANNA, ANNA, voice={**raw, "mime_type": "audio/ogg"})
    await world.answered(ANNA, "xylophone")


async def test_a_mention_and_nothing_more_gets_a_hint(world: World) -> None:
    world.telegram.say(GROUP, BEN, "@keepthread_bot")
    await world.answered(GROUP, "Write what you want to know")
    assert world.model.requests == []


async def test_start_is_answered_with_what_to_do(world: World) -> None:
    world.telegram.say(ANNA, ANNA, "/start ref123")
    shown = await world.answered(ANNA, "Just write to me")
    assert "/reset – Forget this conversation" in shown.text


async def test_a_stranger_who_starts_learns_their_id(world: World) -> None:
    world.telegram.say(EVE, EVE, "/start")
    await world.answered(EVE, "telegram:66")


async def test_an_unknown_command_is_answered_in_private(world: World) -> None:
    world.telegram.say(ANNA, ANNA, "/rest")
    await world.answered(ANNA, "Did you mean /reset?")


async def test_an_edited_command_runs_no_second_time(world: World) -> None:
    said = world.telegram.say(ANNA, ANNA, "/whoami")
    await world.answered(ANNA, "You are Anna")
    world.telegram.edit(ANNA, said, "/whoami please")
    world.telegram.edit(ANNA, said, "/reset")
    world.telegram.say(ANNA, ANNA, "hello")
    await world.answered(ANNA, "You said: hello")
    await world.settled()
    assert len(world.telegram.seen(ANNA)) == 2


async def test_an_edited_question_is_remembered_and_can_be_answered_again(world: World) -> None:
    said = world.telegram.say(ANNA, ANNA, "How tall is it?")
    await world.answered(ANNA, "How tall is it?")
    world.telegram.edit(ANNA, said, "How deep is it?")
    shown = await world.answered(ANNA, "You changed your question.")
    assert len(world.model.requests) == 1
    data, no = shown.data
    assert (data, no) == ("do::retry", "do::")
    world.telegram.press(ANNA, shown.id, ANNA, data)
    world.telegram.press(ANNA, shown.id, ANNA, data)
    await world.answered(ANNA, "You said: How deep is it?")
    await world.settled()
    await wait_until(lambda: shown.data == [])
    assert len([1 for one in world.telegram.texts(ANNA) if "How deep is it?" in one]) == 1


async def test_the_bots_own_texts_write_commands_with_a_slash(world: World) -> None:
    world.telegram.say(ANNA, ANNA, "/help")
    shown = await world.answered(ANNA, "Begin a new conversation")
    assert "• /reset or /clear – Forget this conversation" in shown.text
    world.model.default = truncated("Half an ans")
    world.telegram.say(ANNA, ANNA, "hello")
    await world.answered(ANNA, "Half an ans\n\n⚠️ The answer was cut off. Say /retry for a new one.")


async def test_a_message_is_forgotten_by_replying_forget_to_it(world: World) -> None:
    said = world.telegram.say(ANNA, ANNA, "My name is Anna.")
    await world.answered(ANNA, "You said")
    world.telegram.say(ANNA, ANNA, "/forget")
    await world.answered(ANNA, "Answer the message that I should forget")
    world.telegram.say(ANNA, ANNA, "/forget", reply_to=said)
    await world.answered(ANNA, "I forget this message")
    await world.settled()
    assert await world.remembered(ANNA) == []


async def test_messages_of_others_are_forgotten_for_admins_only(world: World) -> None:
    said = world.telegram.say(GROUP, BEN, "@keepthread_bot my name is Ben")
    await world.answered(GROUP, "You said")
    world.telegram.say(GROUP, CLEO, "/forget@keepthread_bot", reply_to=said)
    await world.answered(GROUP, "That is for admins here")
    assert await world.remembered(GROUP)
    world.telegram.say(GROUP, BEN, "/forget@keepthread_bot", reply_to=said)
    await world.answered(GROUP, "I forget this message")
    await world.settled()
    assert await world.remembered(GROUP) == []


async def test_a_question_for_the_administrators_times_out(
    world: World,
) -> None:
    world.connection.admin_check_timeout_s = 0.1
    world.telegram.hang("getChatMember", times=9)
    world.telegram.say(GROUP, ANNA, "/reset@keepthread_bot")
    await world.answered(GROUP, "/reset is for admins here")
    world.telegram.say(BEN, BEN, "hello")
    await world.answered(BEN, "You said: hello")


async def test_the_word_stop_and_its_command_stop_too(world: World) -> None:
    for words in ("stop", "/stop"):
        world.model.script = [stall("Once upon a time ")]
        world.telegram.say(ANNA, ANNA, "tell me a story")
        await wait_until(lambda: world.telegram.chat(ANNA).drafts.get(None, {}).get("text"))
        world.telegram.say(ANNA, ANNA, words)
        await world.settled()
    assert [turn.state for turn in await world.remembered(ANNA)] == ["stopped", "stopped"]


@pytest.mark.parametrize(
    ("chat", "why"),
    [
        (ANNA, "bot was blocked by the user"),
        (GROUP, "bot was kicked from the supergroup chat"),
    ],
)
async def test_a_chat_that_is_gone_is_recorded_and_let_be(
    world: World, chat: int, why: str
) -> None:
    gate = asyncio.Event()
    world.model.default = say_after(gate, "Once upon a time")
    world.telegram.say(chat, ANNA, "@keepthread_bot tell me")
    await wait_until(lambda: world.model.open_streams)
    world.telegram.chat(chat).gone = why
    gate.set()
    await world.settled()
    assert world.counted("keepthread_turns", platform="telegram", outcome="gone") == 1
    assert len(world.model.requests) == 1
    calls = len(world.telegram.calls)
    world.telegram.chat(chat).gone = ""
    world.telegram.say(chat, ANNA, "@keepthread_bot I am back")
    await world.answered(chat, "Once upon a time")
    assert [method for method, _ in world.telegram.calls[:calls]].count("sendMessage") <= 2
