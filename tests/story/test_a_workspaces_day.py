"""A day in a Slack workspace with Keepthread: Ada, Ben, their admin Cora, and Nora of a partner company."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from bot.settings import Settings
from tests.fakes.model_server import stall
from tests.fakes.slack.people import BOT
from tests.story.slack_day import ADA, BEN, CORA, NORA, Day, working_day
from tests.support.wait import wait_until


@pytest.fixture
async def day(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Day]:
    async with working_day(settings, monkeypatch) as found:
        yield found


async def test_morning_a_question_becomes_a_thread_and_the_thread_a_conversation(day: Day) -> None:
    thread = await day.slack.say("C1", ADA, f"{BOT} my name is Ada")
    assert await day.answers(1, "C1", thread) == ["You said: Ada: my name is Ada"]
    # From now on nobody needs to mention it there …
    await day.slack.say("C1", ADA, "what is my name?", thread)
    assert (await day.answers(2, "C1", thread))[1] == "Your name is Ada."
    # … and it keeps still where it is not meant, at top level and when somebody else is called.
    await day.slack.say("C1", BEN, "good morning everybody")
    await day.slack.say("C1", BEN, f"<@{ADA}> the key is under the mat", thread)
    await day.at_rest()
    assert len(day.slack.finished("C1")) == 2
    # It remembers it all the same.
    await day.slack.say("C1", ADA, f"{BOT} where is the key?", thread)
    await day.answers(3, "C1", thread)
    assert "Ben: @Ada the key is under the mat" in day.asked()


async def test_it_is_asked_into_an_old_thread_and_knows_what_was_said(day: Day) -> None:
    thread = day.slack.server.say("C1", BEN, "the build is red")
    for n in range(3):
        day.slack.server.say("C1", ADA if n % 2 else BEN, f"attempt {n} failed", thread)
    await day.slack.say("C1", ADA, f"{BOT} what would you try next?", thread)
    await day.answers(1, "C1", thread)
    asked = day.asked()
    assert asked.index("Ben: the build is red") < asked.index("Ben: attempt 2 failed")
    assert asked.index("attempt 2 failed") < asked.index("what would you try next?")
    # Once is enough: from now on its own memory counts.
    await day.slack.say("C1", BEN, "and then?", thread)
    await day.answers(2, "C1", thread)
    assert len(day.slack.server.called("conversations.replies")) == 1
    assert day.asked().count("the build is red") == 1


async def test_reading_an_old_thread_may_be_limited_and_the_answer_comes_all_the_same(
    day: Day,
) -> None:
    day.slack.server.fail("conversations.replies", status=429, retry_after=60)
    thread = day.slack.server.say("C1", BEN, "the build is red")
    await day.slack.say("C1", ADA, f"{BOT} what would you try next?", thread)
    await day.answers(1, "C1", thread)
    assert "could not be read in time" in day.asked()


async def test_a_question_is_corrected_and_answered_again(day: Day) -> None:
    thread = await day.slack.say("C1", ADA, f"{BOT} what is a monda?")
    await day.answers(1, "C1", thread)
    await day.slack.edit("C1", thread, f"{BOT} what is a monad?")
    offer = await wait_until(
        lambda: next(
            (
                message
                for message in [
                    *day.slack.server.answers("C1", thread),
                    *day.slack.server.ephemerals("C1"),
                ]
                if any(
                    button["text"] == "Answer again" and "offer" in button["action_id"]
                    for button in message.buttons
                )
            ),
            None,
        )
    )
    await day.slack.press(offer, ADA, "Answer again")
    await wait_until(
        lambda: any("monad?" in message.text for message in day.slack.finished("C1", thread))
    )
    assert "monda" not in day.asked()


async def test_a_deleted_message_is_forgotten(day: Day) -> None:
    thread = await day.slack.say("C1", ADA, f"{BOT} the password is swordfish")
    await day.answers(1, "C1", thread)
    second = await day.slack.say("C1", ADA, "and my name is Ada", thread)
    await day.answers(2, "C1", thread)
    await day.slack.delete("C1", thread)
    await day.at_rest()
    await day.slack.say("C1", ADA, "what is my name?", thread)
    assert (await day.answers(3, "C1", thread))[2] == "Your name is Ada."
    assert "swordfish" not in day.asked()
    assert second


async def test_an_answer_is_stopped_by_slacks_own_button(day: Day) -> None:
    day.model.script = [stall("Let me begin at the very beginning")]
    thread = await day.slack.say("C1", ADA, f"{BOT} tell me all")
    await wait_until(lambda: day.slack.server.session("C1", thread) == "processing")
    await wait_until(lambda: day.slack.server.answers("C1", thread))
    await day.slack.stop("C1", thread, ADA)
    await wait_until(lambda: day.model.open_streams == 0)
    await day.at_rest()
    assert "Let me begin" in "\n".join(message.text for message in day.slack.finished("C1", thread))
    assert day.slack.server.session("C1", thread) == "active"


async def test_an_answer_is_stopped_by_a_button_of_its_own_where_slack_has_none(day: Day) -> None:
    day.slack.server.is_agent = False
    day.model.script = [stall("Let me begin at the very beginning")]
    thread = await day.slack.say("C1", ADA, f"{BOT} tell me all")
    growing = await wait_until(
        lambda: next(
            (
                message
                for message in day.slack.server.answers("C1", thread)
                if any(button["text"] == "Stop" for button in message.buttons)
            ),
            None,
        )
    )
    await day.slack.press(growing, ADA, "Stop")
    await wait_until(lambda: day.model.open_streams == 0)
    await day.at_rest()
    assert "Let me begin" in "\n".join(message.text for message in day.slack.finished("C1", thread))
    assert day.slack.server.status("C1", thread) == ""
    assert not any(
        button["text"] == "Stop"
        for message in day.slack.server.answers("C1", thread)
        for button in message.buttons
    )


async def test_sent_away_it_keeps_still_until_it_is_mentioned(day: Day) -> None:
    thread = await day.slack.say("C1", ADA, f"{BOT} hello")
    await day.answers(1, "C1", thread)
    await day.slack.say("C1", ADA, f"{BOT} leave", thread)
    await day.answers(2, "C1", thread)
    await day.slack.say("C1", ADA, "are you still here?", thread)
    await day.at_rest()
    assert len(day.slack.finished("C1", thread)) == 2
    await day.slack.say("C1", ADA, f"{BOT} come back", thread)
    await day.answers(3, "C1", thread)


async def test_a_file_is_read(day: Day) -> None:
    notes = day.slack.server.add_file("notes.txt", b"The meeting is at noon.", "text/plain")
    await day.slack.say("D1", ADA, "when is the meeting?", files=[notes])
    await day.answers(1, "D1")
    assert "The meeting is at noon." in day.asked()


async def test_in_direct_messages_it_is_one_long_talk_and_threads_are_their_own(day: Day) -> None:
    first = await day.slack.say("D1", ADA, "my name is Ada")
    await day.answers(1, "D1")
    await day.slack.say("D1", ADA, "what is my name?")
    assert (await day.answers(2, "D1"))[1] == "Your name is Ada."
    await day.slack.say("D1", ADA, "!reset")
    assert "Forgotten: 2 turns." in (await day.answers(3, "D1"))[2]
    await day.slack.say("D1", ADA, "what is my name?")
    assert "do not know" in (await day.answers(4, "D1"))[3]
    assert first


async def test_a_partner_in_a_shared_channel_is_told_that_it_does_not_know_them(day: Day) -> None:
    await day.slack.say("C1", NORA, f"{BOT} tell me your secrets")
    await day.slack.say("C1", NORA, f"{BOT} please")
    (refusal,) = await wait_until(lambda: day.slack.server.ephemerals("C1", NORA))
    assert "not on the list" in refusal.text
    assert day.slack.finished("C1") == []
    assert day.model.requests == []


async def test_evening_app_home_lists_what_was_talked_about_and_forgets_it(day: Day) -> None:
    await day.slack.say("D1", ADA, "my name is Ada")
    await day.answers(1, "D1")
    await day.at_rest()
    await day.slack.open_home(ADA)
    view = await wait_until(lambda: day.slack.server.space.homes.get(ADA))
    assert "Direct messages" in json.dumps(view)
    assert "This workspace" not in json.dumps(view)
    await day.slack.open_home(CORA)
    view = await wait_until(lambda: day.slack.server.space.homes.get(CORA))
    assert "*1* conversations" in json.dumps(view)


async def test_two_people_talk_at_once_and_nothing_mixes(day: Day) -> None:
    threads = await asyncio.gather(
        *(
            day.slack.say("C1", who, f"{BOT} my name is {name}")
            for who, name in ((ADA, "Ada"), (BEN, "Ben"))
        )
    )
    for thread in threads:
        await day.answers(1, "C1", thread)
    for who, thread in zip((ADA, BEN), threads, strict=True):
        await day.slack.say("C1", who, "what is my name?", thread)
    assert (await day.answers(2, "C1", threads[0]))[1] == "Your name is Ada."
    assert (await day.answers(2, "C1", threads[1]))[1] == "Your name is Ben."
