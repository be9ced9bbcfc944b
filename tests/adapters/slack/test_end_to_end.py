"""Keepthread in Slack as a new user meets it: a real process, and Slack, the model and Redis on loopback."""

from __future__ import annotations

import asyncio
import time

import pytest

from adapters.slack.action_ids import RESET_SHORTCUT
from adapters.slack.outbound.answer.messages import LEFTOVERS_AFTER_S
from tests.adapters.slack.serve_process import ServeProcesses, answers
from tests.fakes.model_server import ModelServer, say, stall
from tests.fakes.slack.events import SIGNING_SECRET, encoded, signed
from tests.fakes.slack.people import BOT, SlackWorkspace
from tests.support.wait import wait_until


@pytest.fixture(params=["socket", "http"])
def either(processes: ServeProcesses, request: pytest.FixtureRequest) -> ServeProcesses:
    processes.transport = request.param
    return processes


async def nothing_more(slack: SlackWorkspace, model: ModelServer, channel: str, count: int) -> None:
    """No further message comes; a wrong one has had time to."""
    await asyncio.sleep(0.5)
    assert len(slack.finished(channel)) == count, [
        message.text for message in slack.finished(channel)
    ]
    await wait_until(lambda: model.open_streams == 0)


async def test_a_mention_is_answered_in_its_thread_once_however_often_slack_tells_it(
    either: ServeProcesses,
) -> None:
    """Slack sends a mention twice by itself, and here replays one of the two."""
    slack, model = either.slack, either.model
    async with either.start():
        ts = await slack.say("C1", "U1", f"{BOT} my name is Ada")
        replayed = slack.envelope(slack.message_event("C1", "U1", f"{BOT} my name is Ada", ts))
        for _ in range(3):
            assert (await slack.events.deliver(replayed)).acknowledged
        (answer,) = await answers(slack, 1, "C1", ts)
        assert answer.thread_ts == ts
        assert "my name is Ada" in answer.text
        assert len(slack.deliveries) == 2
        assert all(delivery.acknowledged for delivery in slack.deliveries)
        assert (await slack.events.deliver(replayed)).acknowledged  # answered long ago
        await nothing_more(slack, model, "C1", 1)
        assert slack.server.status("C1", ts) == ""
    assert len(model.requests) == 1


async def test_a_name_is_remembered_across_a_restart_and_threads_never_mix(
    processes: ServeProcesses,
) -> None:
    slack = processes.slack
    async with processes.start() as first:
        ada = await slack.say("C1", "U1", f"{BOT} my name is Ada")
        ben = await slack.say("C1", "U2", f"{BOT} my name is Ben")
        await answers(slack, 1, "C1", ada)
        await answers(slack, 1, "C1", ben)
        assert await first.terminate() == 0
    async with processes.start():
        await slack.say("C1", "U1", "what is my name?", ada)
        await slack.say("C1", "U2", "what is my name?", ben)
        assert "Your name is Ada." in (await answers(slack, 2, "C1", ada))[1].text
        assert "Your name is Ben." in (await answers(slack, 2, "C1", ben))[1].text


async def test_a_forged_or_stale_signature_gets_401_and_starts_nothing(
    processes: ServeProcesses,
) -> None:
    processes.transport = "http"
    slack, model = processes.slack, processes.model
    async with processes.start():
        ts = slack.server.say("C1", "U1", f"{BOT} hello")
        event = slack.message_event("C1", "U1", f"{BOT} hello", ts)
        body, kind = encoded(slack.envelope(event))
        headers = {"Content-Type": kind}
        stale = signed(SIGNING_SECRET, body, at=time.time() - 600)
        for forged in ({}, signed("guessed", body), stale):
            assert await slack.events.post(body, headers | forged) == 401
        await nothing_more(slack, model, "C1", 0)
        assert await slack.events.post(body, headers | signed(SIGNING_SECRET, body)) == 200
        await wait_until(lambda: len(model.requests) == 1)


async def test_an_answer_of_60_000_characters_arrives_whole_and_in_order(
    processes: ServeProcesses,
) -> None:
    slack, model = processes.slack, processes.model
    long = "\n\n".join(f"Paragraph {n}: " + "words and more words " * 12 for n in range(230))
    assert len(long) > 60_000
    model.script = [say(long, size=4000)]
    async with processes.start():
        ts = await slack.say("C1", "U1", f"{BOT} tell me everything")
        await wait_until(lambda: "Paragraph 229:" in _all(slack, ts))
        await wait_until(lambda: not any(m.streaming for m in slack.server.answers("C1", ts)))
    assert _words(_all(slack, ts)) == _words(long)
    assert all(len(message.text) <= 12_000 for message in slack.finished("C1", ts))


async def test_a_stream_that_slack_ends_is_completed(processes: ServeProcesses) -> None:
    slack, model = processes.slack, processes.model
    slack.server.stream_lifetime_s = 1
    text = "A slow answer. " * 60
    model.script = [say(text, size=30, delay_s=0.08)]
    async with processes.start():
        ts = await slack.say("C1", "U1", f"{BOT} slowly, please")
        await wait_until(lambda: text.strip() in _all(slack, ts))
        await wait_until(lambda: not any(m.streaming for m in slack.server.answers("C1", ts)))
    assert _words(_all(slack, ts)) == _words(text)


async def test_a_reset_in_a_shared_thread_is_for_admins(processes: ServeProcesses) -> None:
    slack = processes.slack
    async with processes.start():
        ts = await slack.say("C1", "U1", f"{BOT} my name is Ada")
        await answers(slack, 1, "C1", ts)
        await slack.say("C1", "U2", f"{BOT} reset", ts)
        refused = (await answers(slack, 2, "C1", ts))[1]
        assert "admins" in refused.text
        await slack.say("C1", "U1", "what is my name?", ts)
        assert "Ada" in (await answers(slack, 3, "C1", ts))[2].text
        await slack.say("C1", "UADMIN", f"{BOT} reset", ts)
        assert "Forgotten" in (await answers(slack, 4, "C1", ts))[3].text
        await slack.say("C1", "U1", f"{BOT} what is my name?", ts)
        last = (await answers(slack, 5, "C1", ts))[4]
        assert "do not know" in last.text  # although Slack still shows the whole thread


@pytest.mark.parametrize("end", ["killed", "asked to end"])
async def test_a_process_that_ends_in_the_middle_is_followed_by_one_that_answers_once(
    processes: ServeProcesses, end: str
) -> None:
    slack, model = processes.slack, processes.model
    model.script = [stall("This was the beginning of")]
    slack.server.space.lag_s = (
        LEFTOVERS_AFTER_S  # as if a lease had run out meanwhile, or the grace of a drain
    )
    async with processes.start(BOT_DRAIN_S="0", BOT_LEASE_S="1") as first:
        ts = await slack.say("C1", "U1", f"{BOT} my name is Ada")
        await wait_until(lambda: "beginning" in _all(slack, ts))
        if end == "killed":
            await first.kill()
        else:
            assert await first.terminate() == 0
    async with processes.start(BOT_LEASE_S="1"):
        # The begun message becomes the answer: people see it and nothing else.
        await wait_until(lambda: _all(slack, ts) == "You said: Ada: my name is Ada")
        await wait_until(lambda: not any(m.streaming for m in slack.server.answers("C1", ts)))
        await nothing_more(slack, model, "C1", 1)
        await wait_until(lambda: not slack.server.status("C1", ts))
        await slack.say("C1", "U1", "what is my name?", ts)
        assert (await answers(slack, 2, "C1", ts))[1].text == "Your name is Ada."


async def test_an_answer_is_stopped_in_another_process_than_the_one_that_writes_it(
    processes: ServeProcesses,
) -> None:
    """Once by Slack's own button, once by the bot's, once by the command."""
    slack, model = processes.slack, processes.model
    model.script = [stall("One beginning"), stall("Two beginnings"), stall("Three beginnings")]
    async with processes.start("worker"), processes.start("ingress"):
        native = await slack.say("C1", "U1", f"{BOT} tell me all")
        await wait_until(lambda: "One" in _all(slack, native))
        await slack.stop("C1", native, "U1")
        await wait_until(lambda: model.open_streams == 0)
        slack.server.is_agent = False
        edited = await slack.say("C1", "U1", f"{BOT} tell me all")
        growing = await wait_until(
            lambda: [message for message in slack.server.answers("C1", edited) if message.buttons]
        )
        await slack.press(growing[0], "U1", "Stop")
        await wait_until(lambda: model.open_streams == 0)
        await wait_until(lambda: not growing[0].buttons)
        await slack.say("D1", "U1", "tell me all")
        await wait_until(lambda: model.open_streams == 1)
        await slack.say("D1", "U1", "stop")
        await wait_until(lambda: model.open_streams == 0)
        for thread, words in ((native, "One beginning"), (edited, "Two beginnings")):
            (message,) = await answers(slack, 1, "C1", thread)
            assert message.text == words
        await wait_until(lambda: not any(slack.server.status("C1", ts) for ts in (native, edited)))


async def test_messages_sent_while_the_bot_was_down_are_answered_later(
    processes: ServeProcesses,
) -> None:
    slack = processes.slack
    slack.events.max_attempts = 600
    slack.events.retry_delay_s = 0.25
    async with processes.start() as first:
        await first.kill()
    telling = asyncio.create_task(slack.say("D1", "U1", "is anybody there?"))
    async with processes.start():
        await telling
        await answers(slack, 1, "D1")


async def test_the_slash_command_and_the_shortcut_answer_their_person_alone(
    processes: ServeProcesses,
) -> None:
    slack = processes.slack
    async with processes.start():
        hint = await slack.slash("C1", "U1", "reset")
        assert hint.answer is not None
        assert "!reset" in hint.answer["text"]
        await slack.slash("D1", "U1", "status")
        found = await wait_until(lambda: slack.server.ephemerals("D1", "U1"))
        assert "Remembered" in found[0].text
        ts = await slack.say("C1", "U1", f"{BOT} my name is Ada")
        (answer,) = await answers(slack, 1, "C1", ts)
        await slack.use_shortcut(RESET_SHORTCUT, answer, "UADMIN")
        found = await wait_until(lambda: slack.server.ephemerals("C1", "UADMIN"))
        assert "Forgotten" in found[0].text
        assert len(slack.finished("C1", ts)) == 1


def _all(slack: SlackWorkspace, ts: str) -> str:
    return "\n".join(message.text for message in slack.server.answers("C1", ts))


def _words(text: str) -> list[str]:
    return text.split()
