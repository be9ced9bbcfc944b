"""The whole bot in Telegram, as people meet it."""

from __future__ import annotations

import re

import pytest

from bot.errors import ModelKeyRefused
from bot.settings import Settings
from tests.adapters.telegram.harness import (
    ANNA,
    BEN,
    EVE,
    FORUM,
    GROUP,
    World,
    serving,
)
from tests.fakes.model_server import ModelServer, fail, rule_based, say, stall
from tests.fakes.redis_server import running_redis
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until

SECOND_S = 0.3
"""A second of flood control, so that nobody has to wait for the real one."""


async def test_topics_of_a_private_chat_are_conversations_of_their_own(world: World) -> None:
    world.telegram.chat(ANNA).topics = {5: "Work", 6: "Home"}
    world.telegram.say(ANNA, ANNA, "My name is Anna.", thread=5)
    await world.answered(ANNA, "You said", topic=5)
    world.telegram.say(ANNA, ANNA, "What is my name?", thread=6)
    await world.answered(ANNA, "I do not know your name.", topic=6)
    world.telegram.say(ANNA, ANNA, "What is my name?")
    await world.answered(ANNA, "I do not know your name.")
    assert {5, 6, None} <= {topic for _, topic in world.telegram.chat(ANNA).actions}


async def test_an_answer_that_is_marks_all_over_arrives_whole(world: World) -> None:
    """M1: a row of 8,000 cells of code, whose rendering once took longer than a lease."""
    answer = "|a|b|\n|-|-|\n|" + "`a`|" * 8_000
    world.model.default = say(answer)
    world.telegram.say(ANNA, ANNA, "Draw a table.")
    await world.settled()
    shown = [message for message in world.telegram.seen(ANNA) if message.file is None]
    assert sum(message.text.count("a") for message in shown) == answer.count("a")
    history = world.service.services.history
    turn = await history.find(world.session(ANNA), str(shown[0].id))
    assert turn is not None
    assert (turn.state, turn.handover) == ("complete", "")
    assert len(turn.answer_ids) == len(world.telegram.seen(ANNA))


async def test_ten_questions_are_all_answered_at_one_message_a_second(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telegram.flood.chat_interval_s = SECOND_S
    model.default = rule_based(delay_s=0.02)
    env = {"TELEGRAM_CHAT_INTERVAL_S": f"{SECOND_S}", "TELEGRAM_GROUP_PER_MINUTE": "20"}
    async with serving(telegram, model, settings, monkeypatch, env) as world:
        for number in range(10):
            topic = (5, 6)[number % 2]
            telegram.say(FORUM, BEN, f"@keepthread_bot question {number}", thread=topic)
            if number % 3 == 2:  # some wait together, some come one by one
                await world.answered(FORUM, f"question {number}", topic)
        for number in range(10):
            await world.answered(FORUM, f"question {number}", (5, 6)[number % 2])
        await world.settled()
        assert all(turn.state == "complete" for turn in await world.remembered(FORUM, 5))
    assert telegram.flood.ignored == 0


async def test_an_answer_outlives_a_ban_longer_than_the_longest_wait(
    world: World,
) -> None:
    world.connection.limiter.max_wait_s = 0.5
    world.telegram.fail("sendMessage", 429, "Too Many Requests: retry after 0.6", retry_after=0.6)
    world.telegram.say(ANNA, ANNA, "hello")
    await world.answered(ANNA, "You said: hello")
    await world.settled()
    assert world.telegram.texts(ANNA) == ["You said: hello"]
    assert len(world.model.requests) == 1
    assert len(world.telegram.called("sendMessage")) == 2


async def test_a_thirty_thousand_character_answer_arrives_whole(world: World) -> None:
    part = "## Part {} 😀\n\n| a | b |\n|---|---|\n| 1 | Vec<T> |\n\n```python\nx = '{} 👩‍👩‍👧'\n```\n\n"
    answer = "".join(part.format(n, n) for n in range(30_000 // len(part) + 1))
    world.model.default = say(answer, size=400)
    world.telegram.say(GROUP, BEN, "@keepthread_bot tell me everything")
    await world.answered(GROUP, "The whole answer as a file.")
    await world.settled()
    *messages, document = world.telegram.seen(GROUP)
    text = "\n".join(one.text for one in messages)
    assert re.findall(r"Part (\d+) 😀", text) == [str(n) for n in range(30_000 // len(part) + 1)]
    assert re.findall(r"x = '(\d+) 👩‍👩‍👧'", text) == re.findall(r"Part (\d+) 😀", text)
    assert text.count("Vec<T>") == 30_000 // len(part) + 1
    assert document.file == ("answer.md", answer.encode())
    assert world.telegram.dropped_entities == 0
    (turn,) = [turn async for turn in world.service.services.sessions.turns(world.session(GROUP))]
    assert turn.answer == answer
    assert turn.answer_ids == tuple(str(shown.id) for shown in world.telegram.seen(GROUP))


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


async def test_an_answer_that_takes_long_in_one_topic_keeps_no_other_waiting(world: World) -> None:
    world.model.script = [stall("Well, ")]
    world.telegram.say(FORUM, BEN, "@keepthread_bot think hard", thread=5)
    await wait_until(lambda: world.model.open_streams)
    world.telegram.say(FORUM, BEN, "@keepthread_bot hello", thread=6)
    await world.answered(FORUM, "You said: Ben: hello", topic=6)
    assert world.model.open_streams == 1


async def test_an_internal_error_is_told_in_a_sentence_and_nothing_more(world: World) -> None:
    world.model.default = fail(401, message="Incorrect API key provided: secret")
    world.telegram.say(ANNA, ANNA, "hello")
    await world.answered(ANNA, "⚠️")
    assert world.telegram.texts(ANNA) == [f"⚠️ {ModelKeyRefused.sentence}"]


async def test_a_private_dialogue_never_shows_up_in_a_group(world: World) -> None:
    world.telegram.say(BEN, BEN, "My name is Ben.")
    await world.answered(BEN, "You said")
    world.telegram.say(GROUP, BEN, "@keepthread_bot what is my name?")
    await world.answered(GROUP, "I do not know your name.")


async def test_updates_wait_at_telegram_while_redis_is_down_and_are_then_answered_once(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_redis("--appendonly", "yes", "--appendfsync", "always") as server:
        url = f"redis://127.0.0.1:{server.port}"
        async with serving(telegram, model, settings, monkeypatch, redis_url=url) as world:
            telegram.say(ANNA, ANNA, "My name is Anna.")
            await world.answered(ANNA, "You said")
            await world.settled()
            server.kill()
            telegram.say(ANNA, ANNA, "What is my name?")
            telegram.say(BEN, BEN, "hello")
            await wait_until(lambda: "memory" in world.connection.health().detail)
            assert len(telegram.updates) == 2, "not confirmed, so Telegram keeps them"
            await server.start()
            await world.answered(ANNA, "Your name is Anna.")
            await world.answered(BEN, "You said: hello")
            await world.settled()
            assert world.connection.health().ready
    assert (len(telegram.seen(ANNA)), len(telegram.seen(BEN))) == (2, 1)


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


@pytest.mark.parametrize("listed", [(), ("telegram:Anna", "telegram:@anna", "telegram:anna")])
async def test_an_empty_list_and_names_on_it_let_nobody_in(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    listed: tuple[str, ...],
) -> None:
    telegram.person(ANNA, "Anna", username="anna")
    async with serving(telegram, model, settings, monkeypatch, bot_allow=listed) as world:
        telegram.say(ANNA, ANNA, "hello")
        await world.answered(ANNA, "telegram:41")
        await world.settled()
    assert model.requests == []


async def test_a_person_taken_off_the_list_can_change_nothing(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(telegram, model, settings, monkeypatch) as world:
        said = telegram.say(BEN, BEN, "my name is Ben")
        shown = await world.answered(BEN, "You said")
        await world.settled()
    listed = (f"telegram:{ANNA}",)
    async with serving(telegram, model, settings, monkeypatch, bot_allow=listed) as world:
        telegram.edit(BEN, said, "my name is Mallory")
        telegram.react(BEN, shown.id, BEN, "👍")
        telegram.say(BEN, BEN, "/forget", reply_to=said)
        telegram.say(BEN, BEN, "/reset")
        telegram.say(BEN, BEN, "stop")
        query = telegram.press(BEN, shown.id, BEN, "do::reset")
        await wait_until(lambda: query in telegram.answered)
        await world.settled()
        (turn,) = await world.remembered(BEN)
        assert turn.incoming[0].text == "my name is Ben"
        assert world.counted("keepthread_feedback", verdict="up") == 0
    assert [one for one in telegram.texts(BEN) if "telegram:42" not in one] == [shown.text]


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
