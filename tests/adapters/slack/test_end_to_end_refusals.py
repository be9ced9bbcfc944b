"""Refusals of Slack as people meet them: a real process, and Slack, the model and Redis on loopback."""

from __future__ import annotations

import asyncio

import pytest

from tests.adapters.slack.serve_process import ServeProcesses, answers
from tests.fakes.model_server import say, say_after
from tests.fakes.slack.people import BOT
from tests.support.wait import wait_until

LONG_AS_BYTES = {
    "Russian": "Да, это так. " * 219,
    "Japanese": "はい。そうです。" * 255,
    "XML": "```xml\n" + '<a b="c"/>&\n' * 213 + "```",
}


@pytest.mark.parametrize("text", LONG_AS_BYTES.values(), ids=LONG_AS_BYTES.keys())
async def test_an_edited_answer_is_whole_whatever_its_alphabet(
    processes: ServeProcesses, text: str
) -> None:
    """S1: in a direct message outside threads, which is edited and not streamed."""
    slack = processes.slack
    processes.model.script.append(say(text, size=20, delay_s=0.01))
    async with processes.start() as serving:
        await slack.say("D1", "U1", "tell me")
        await wait_until(lambda: any("turn ended" in line for line in serving.log))
        (answer,) = await answers(slack, 1, "D1")
        assert answer.text == text
    assert slack.server.called("chat.update")
    assert not [call for call in slack.server.called("chat.update") if call.error]


async def test_an_answer_whose_question_was_deleted_is_seen_by_nobody(
    processes: ServeProcesses,
) -> None:
    """S2: Slack's event of the deletion is late; the thread is gone when the answer is ready."""
    slack, gate = processes.slack, asyncio.Event()
    processes.model.script.append(say_after(gate, "Your secret is safe."))
    async with processes.start() as serving:
        ts = await slack.say("C1", "U1", f"{BOT} my secret")
        question = slack.server.space.channel("C1").find(ts)
        assert question is not None
        question.deleted = True  # before anything is posted below it
        await wait_until(lambda: processes.model.requests)
        gate.set()
        await wait_until(lambda: "place gone" in "".join(serving.log))
    assert slack.server.messages("C1") == []
    assert not slack.server.answers("D1")
