"""Failures known from other bots, in one Slack workspace: busy threads, failing models, secrets between channels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from adapters.slack.action_ids import FORGET_SHORTCUT
from bot.settings import Settings
from tests.fakes.model_server import cut, fail, say_after
from tests.fakes.slack.people import BOT
from tests.story.slack_day import ADA, BEN, CORA, NORA, Day, working_day
from tests.support.wait import wait_until


@pytest.fixture
async def day(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Day]:
    async with working_day(settings, monkeypatch) as found:
        yield found


async def test_messages_during_an_answer_are_answered_next_and_none_is_dropped(
    day: Day,
) -> None:
    gate = asyncio.Event()
    day.model.script = [say_after(gate, "A slow answer. " * 5)]
    thread = await day.slack.say("C1", ADA, f"{BOT} tell me all")
    await wait_until(lambda: day.model.open_streams == 1)
    for number in range(5):
        await day.slack.say("C1", BEN, f"and remark {number}", thread)
    gate.set()
    answers = await day.answers(2, "C1", thread)
    assert answers[0] == "A slow answer. " * 5
    assert [n for n in range(5) if f"Ben: and remark {n}" in day.asked()] == [0, 1, 2, 3, 4]
    await day.at_rest()
    assert len(day.model.requests) == 2


async def test_a_private_talk_does_not_follow_anybody_into_the_channel(day: Day) -> None:
    day.slack.server.add_channel("D2", "private", {BEN})
    await day.slack.say("D1", ADA, "my name is Ada")
    await day.answers(1, "D1")
    thread = await day.slack.say("C1", ADA, f"{BOT} what is my name?")
    assert "do not know" in (await day.answers(1, "C1", thread))[0]
    # Nor into the private talk of somebody else, nor into a thread of its own.
    await day.slack.say("D2", BEN, "what is my name?")
    assert "do not know" in (await day.answers(1, "D2"))[0]
    aside = day.slack.server.say("D1", ADA, "by the way")
    await day.slack.say("D1", ADA, "what is my name?", aside)
    assert "do not know" in (await day.answers(1, "D1", aside))[0]


async def test_a_model_that_breaks_off_leaves_no_open_stream_and_can_be_asked_again(
    day: Day,
) -> None:
    day.model.script = [cut("The answer begins")]
    thread = await day.slack.say("C1", ADA, f"{BOT} what is my name?")
    (broken,) = await day.messages(1, "C1", thread)
    await wait_until(lambda: broken.buttons)
    assert broken.text.startswith("The answer begins")
    assert "\u26a0" in broken.text
    await wait_until(lambda: not day.slack.server.status("C1", thread))
    await day.slack.press(broken, ADA, "Answer again")
    again = await day.messages(2, "C1", thread)
    assert again[1].text == "I do not know your name."
    # What failed is no part of the talk.
    assert "The answer begins" not in json.dumps(day.model.requests[-1].messages)


async def test_a_model_that_refuses_is_told_in_words_and_the_status_goes(day: Day) -> None:
    day.model.script = [fail(401, "invalid_api_key", "Incorrect API key provided: sk-secret")]
    thread = await day.slack.say("C1", ADA, f"{BOT} hello")
    (refusal,) = await day.messages(1, "C1", thread)
    assert "sk-secret" not in refusal.text
    assert "Traceback" not in refusal.text
    await wait_until(lambda: not day.slack.server.status("C1", thread))


async def test_feedback_leads_to_the_turn_it_is_about(day: Day) -> None:
    first = await day.slack.say("C1", ADA, f"{BOT} hello")
    (answer,) = await day.messages(1, "C1", first)
    await day.at_rest()
    await day.slack.say("C1", ADA, "and again", first)
    second = (await day.messages(2, "C1", first))[1]
    await day.at_rest()
    session = next(iter(await day.service.services.sessions.list())).session
    turns = [turn async for turn in day.service.services.sessions.turns(session)]
    with capture_logs() as logs:
        await day.slack.press(answer, BEN, "Good answer")
        await day.slack.react("C1", second.ts, ADA, "-1")
        await day.slack.react("C1", second.ts, ADA, "-1", back=True)
        await day.slack.react("C1", second.ts, NORA, "+1")  # a stranger's thumb counts for nothing
        await day.at_rest()
    ratings = [
        (entry["value"], entry["of"], entry["by"]) for entry in logs if entry["event"] == "feedback"
    ]
    assert ratings == [
        ("up", turns[0].id, BEN),
        ("down", turns[1].id, ADA),
        ("none", turns[1].id, ADA),
    ]


async def test_an_answer_that_an_admin_deletes_is_forgotten(day: Day) -> None:
    thread = await day.slack.say("C1", ADA, f"{BOT} the password is swordfish")
    (answer,) = await day.messages(1, "C1", thread)
    await day.at_rest()
    await day.slack.delete("C1", answer.ts)
    await day.at_rest()
    await day.slack.say("C1", ADA, "what did you say?", thread)
    await day.answers(1, "C1", thread)
    said = [
        message for message in day.model.requests[-1].messages if message["role"] == "assistant"
    ]
    assert "swordfish" not in json.dumps(said)


async def test_a_word_of_somebody_is_forgotten_by_the_message_menu(day: Day) -> None:
    thread = await day.slack.say("C1", ADA, f"{BOT} the password is swordfish")
    await day.answers(1, "C1", thread)
    asked = day.slack.server.space.channel("C1").find(thread)
    assert asked is not None
    await day.slack.use_shortcut(FORGET_SHORTCUT, asked, BEN)
    (refusal,) = await wait_until(lambda: day.slack.server.ephemerals("C1", BEN))
    assert "may not" in refusal.text
    await day.slack.use_shortcut(FORGET_SHORTCUT, asked, ADA)
    await wait_until(lambda: day.slack.server.ephemerals("C1", ADA))
    await day.at_rest()
    await day.slack.say("C1", ADA, "what is the password?", thread)
    await day.answers(2, "C1", thread)
    assert "swordfish" not in json.dumps(day.model.requests[-1].messages)


async def test_editing_a_question_into_a_command_runs_nothing(day: Day) -> None:
    """In another bot, edits ran commands again."""
    first = await day.slack.say("D1", ADA, "my name is Ada")
    await day.answers(1, "D1")
    await day.at_rest()
    await day.slack.edit("D1", first, "!reset")
    await day.at_rest()
    second = await day.slack.say("D1", ADA, "!status")
    await wait_until(lambda: "**1** turn" in "".join(m.text for m in day.slack.finished("D1")))
    await day.slack.edit("D1", second, "!reset")
    await day.at_rest()
    assert not any("Forgotten" in message.text for message in day.slack.finished("D1"))


async def test_a_conversation_is_exported_into_its_thread_and_from_app_home_in_private(
    day: Day,
) -> None:
    thread = await day.slack.say("C1", ADA, f"{BOT} my name is Ada")
    await day.answers(1, "C1", thread)
    await day.slack.say("C1", ADA, f"{BOT} export json", thread)
    in_thread = await wait_until(
        lambda: [file for file in day.slack.server.answers("C1", thread) if file.files]
    )
    (file,) = in_thread[0].files
    told = json.loads(day.slack.server.space.files[file["id"]][1])
    assert told["turns"][0]["answer"] == "You said: Ada: my name is Ada"
    await day.at_rest()
    await day.slack.open_home(ADA)
    view = await wait_until(lambda: day.slack.server.space.homes.get(ADA))
    assert "<#C1>" in json.dumps(view)
    await day.slack.press_home(ADA, "Export")
    await wait_until(lambda: any(message.files for message in day.slack.server.answers("D1")))
    assert len(in_thread) == 1


async def test_pictures_are_seen_voices_heard_and_what_cannot_be_read_is_said(day: Day) -> None:
    day.model.transcript = "please water the plants"
    board = day.slack.server.add_file("board.png", b"\x89PNG not much", "image/png")
    voice = day.slack.server.add_file("note.m4a", b"spoken", "audio/mp4", subtype="slack_audio")
    film = day.slack.server.add_file("film.mp4", b"moving", "video/mp4")
    large = day.slack.server.add_file("all.txt", b"x", "text/plain", size=900_000_000)
    await day.slack.say("D1", ADA, "look", files=[board, voice, film, large])
    await day.answers(1, "D1")
    asked = json.dumps(day.model.requests[-1].messages)
    assert "data:image/png;base64," in asked
    assert "please water the plants" in asked
    assert "[not read: of pictures and films" in asked
    assert "is larger than" in asked


async def test_in_a_quiet_channel_it_answers_only_who_mentions_it_and_listens(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working_day(settings, monkeypatch, SLACK_MENTIONS_ONLY="C1") as day:
        thread = await day.slack.say("C1", ADA, f"{BOT} hello")
        await day.answers(1, "C1", thread)
        await day.slack.say("C1", BEN, "the key is under the mat", thread)
        await day.at_rest()
        await day.slack.say("C1", ADA, f"{BOT} where is the key?", thread)
        await day.answers(2, "C1", thread)
        assert "Ben: the key is under the mat" in day.asked()


async def test_in_a_group_it_speaks_when_mentioned_and_knows_who_said_what(day: Day) -> None:
    await day.slack.say("G1", BEN, "nobody asked you")
    thread = await day.slack.say("G1", ADA, f"{BOT} my dog is called Rex")
    await day.answers(1, "G1", thread)
    await day.slack.say("G1", BEN, "and mine Bella", thread)
    await day.answers(2, "G1", thread)
    assert day.asked().index("Ada: my dog is called Rex") < day.asked().index("Ben: and mine Bella")
    assert "nobody asked you" not in day.asked()


async def test_a_partner_who_is_listed_talks_and_has_no_rights_of_an_admin(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = settings.model_copy(update={"bot_allow": ("slack:T9/U9",)})
    async with working_day(listed, monkeypatch) as day:
        day.slack.server.space.people[NORA]["is_admin"] = True  # in her own company
        thread = await day.slack.say("C1", NORA, f"{BOT} hello")
        assert await day.answers(1, "C1", thread) == ["You said: Nora: hello"]
        (started,) = day.slack.server.called("chat.startStream")
        assert started.args["recipient_team_id"] == "T9"
        await day.slack.say("C1", NORA, f"{BOT} reset", thread)
        assert "admins" in (await day.answers(2, "C1", thread))[1]
        await day.slack.say("C1", CORA, f"{BOT} reset", thread)
        assert "Forgotten" in (await day.answers(3, "C1", thread))[2]


async def test_many_threads_at_once_keep_their_memories_apart(day: Day) -> None:
    names = [f"Name{number}" for number in range(12)]
    threads = await asyncio.gather(
        *(day.slack.say("C1", ADA, f"{BOT} my name is {name}") for name in names)
    )
    for thread in threads:
        await day.answers(1, "C1", thread)
    await asyncio.gather(
        *(day.slack.say("C1", ADA, "what is my name?", message) for message in threads)
    )
    for thread, name in zip(threads, names, strict=True):
        assert (await day.answers(2, "C1", thread))[1] == f"Your name is {name}."
