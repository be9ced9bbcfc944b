"""Edits and deletions in Slack while a message waits or is answered: a real process, as people meet it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.slack.serve_process import ServeProcesses
from tests.fakes.model_server import ModelServer, hang, say_after, stall
from tests.fakes.slack.people import BOT, SlackWorkspace, slack_workspace
from tests.support.wait import wait_until


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorkspace]:
    async with slack_workspace() as found:
        yield found


@pytest.fixture
def processes(
    slack: SlackWorkspace, model: ModelServer, redis_url: str, tmp_path: Path
) -> ServeProcesses:
    return ServeProcesses(slack, model, redis_url, f"kt-{uuid.uuid4().hex[:8]}", tmp_path)


async def test_a_waiting_message_is_answered_as_it_is_when_its_turn_begins(
    processes: ServeProcesses,
) -> None:
    """S3: "two SECRET" is deleted and "tow" edited while an answer is being written."""
    slack, model, gate = processes.slack, processes.model, asyncio.Event()
    model.script = [say_after(gate, "the first answer")]
    async with processes.start():
        await slack.say("D1", "U1", "one")
        await wait_until(lambda: model.requests)
        secret = await slack.say("D1", "U1", "two SECRET")
        mistyped = await slack.say("D1", "U1", "tow")
        await slack.delete("D1", secret)
        await slack.edit("D1", mistyped, "two")
        gate.set()
        found = await wait_until(lambda: (now := slack.finished("D1"))[1:] and now)
        assert [message.text for message in found] == ["the first answer", "You said: two"]
        assert len(model.requests) == 2
        assert "SECRET" not in str(model.requests[1].messages)


@pytest.mark.parametrize("place", ["C1", "D1"])
async def test_a_question_that_is_deleted_while_the_model_thinks_gets_no_answer(
    processes: ServeProcesses, place: str
) -> None:
    """S2: the model call ends, nothing is shown, memory forgets; what comes next is answered."""
    slack, model = processes.slack, processes.model
    model.script = [hang()]
    async with processes.start():
        ts = await slack.say(place, "U1", f"{BOT} a SECRET")
        await wait_until(lambda: model.requests)
        await slack.delete(place, ts)
        await wait_until(lambda: model.open_streams == 0)
        await slack.say(place, "U1", f"{BOT} hello", None if place == "D1" else ts)
        found = await wait_until(lambda: slack.finished(place))
        assert ["hello" in message.text for message in found] == [True]
        assert "SECRET" not in str(model.requests[-1].messages)


async def test_a_shown_part_of_an_answer_is_removed_when_its_question_is_deleted(
    processes: ServeProcesses,
) -> None:
    """S2: nothing that quotes deleted words stays in the channel."""
    slack, model = processes.slack, processes.model
    model.script = [stall("This is the beginning of a SECRET. " * 4)]
    async with processes.start():
        ts = await slack.say("C1", "U1", f"{BOT} a SECRET")
        await wait_until(lambda: slack.server.answers("C1"))
        await slack.delete("C1", ts)
        await wait_until(lambda: model.open_streams == 0)
        await wait_until(lambda: not slack.server.answers("C1"))


async def test_a_reply_that_is_deleted_in_a_living_thread_ends_its_turn(
    processes: ServeProcesses,
) -> None:
    """S2: the thread goes on."""
    slack, model = processes.slack, processes.model
    async with processes.start():
        root = await slack.say("C1", "U1", f"{BOT} hello")
        await wait_until(lambda: slack.finished("C1", root))
        model.script = [hang()]
        reply = await slack.say("C1", "U1", "a SECRET", root)
        await wait_until(lambda: len(model.requests) == 2)
        await slack.delete("C1", reply)
        await wait_until(lambda: model.open_streams == 0)
        await slack.say("C1", "U1", "go on", root)
        found = await wait_until(lambda: (now := slack.finished("C1", root))[1:] and now)
        assert ["go on" in message.text for message in found[1:]] == [True]
        assert "SECRET" not in str(model.requests[-1].messages)
