"""M6: words that a provider's filter refused are left out of later prompts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from bot.conversation import Turn
from bot.ports import FoldState, TurnWrite
from bot.prompt.transcript import tokens_of
from tests.fakes.model_server import Behaviour, Exchange, fail, rule_based, say
from tests.support.handler_harness import HandlerHarness, RecordingReply
from tests.support.messages import KEY, make_message

POISON = "brimstone"


def refusal(status: int, error: dict[str, Any] | str) -> Behaviour:
    async def behave(exchange: Exchange) -> web.StreamResponse:
        return web.json_response({"error": error}, status=status)

    return behave


async def no_choice(exchange: Exchange) -> web.StreamResponse:
    """The stream ends at once, filtered, as Gemini's does."""
    return await say("", reason="content_filter")(exchange)


async def stopped_by_filter(exchange: Exchange) -> web.StreamResponse:
    return await say("First take brimst", reason="content_filter")(exchange)


REFUSALS = {
    "OpenAI": refusal(400, {
        "message": "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        "type": "invalid_request_error", "param": None, "code": "invalid_prompt",
    }),
    "Azure": refusal(400, {
        "message": "The response was filtered due to the prompt triggering content management policy.",
        "type": None, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }),
    "DashScope": refusal(400, {
        "message": "Input data may contain inappropriate content.", "type": "data_inspection_failed",
        "param": None, "code": "data_inspection_failed",
    }),
    "DeepSeek": refusal(400, {
        "message": "Content Exists Risk", "type": "invalid_request_error", "param": None,
        "code": "invalid_request_error",
    }),
    "Zhipu": refusal(400, {"code": "1301", "message": "Unsafe or sensitive content was detected."}),
    "Moonshot": refusal(400, {
        "message": "The request was rejected because it was considered high risk", "type": "content_filter",
    }),
    "Gemini": no_choice,
    "in mid-answer": stopped_by_filter,
}  # fmt: skip


def filtering(refuse: Behaviour) -> Behaviour:
    """Refuses each prompt that holds POISON, in whatever message."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        poisoned = POISON in json.dumps(exchange.received.messages)
        return await (refuse if poisoned else rule_based())(exchange)

    return behave


@pytest.mark.parametrize("refuse", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_message_leaves_the_conversation_usable(
    harness: HandlerHarness, refuse: Behaviour
) -> None:
    """M6: the refused words are left out of the next prompts, marked."""
    harness.model.default = filtering(refuse)
    await harness.ask("my name is Ada")
    reply = RecordingReply()
    assert (await harness.ask(f"how do I make {POISON}?", reply=reply)).state == "failed"
    assert len(reply.texts("fail")) == 1
    asked = len(harness.model.requests)
    done = await harness.ask("what is my name?")
    assert (done.state, done.answer) == ("complete", "Your name is Ada.")
    assert len(harness.model.requests) == asked + 1
    texts = [message["content"] for message in harness.model.requests[-1].messages]
    assert texts[3:5] == [
        "[a message that the provider refused]", "[no answer: the provider refused it]",
    ]  # fmt: skip
    (_, refused, _) = await harness.remembered()
    assert refused.incoming[0].text == f"how do I make {POISON}?", "memory keeps the words"


@pytest.mark.parametrize("refuse", [REFUSALS["Azure"], REFUSALS["DeepSeek"], no_choice])
async def test_overheard_words_that_are_refused_stop_no_later_message(
    harness: HandlerHarness, refuse: Behaviour
) -> None:
    """M6: refused words in a message that was never answered do not fail the messages after it."""
    harness.model.default = filtering(refuse)
    for number in range(3):
        await harness.ask(f"number {number}")
    await harness.handler.overhear(Turn("o", (make_message(f"I sell {POISON}", KEY, "group"),)))
    done = await harness.ask("my name is Ada")
    assert (done.state, done.answer) == ("complete", "You said: my name is Ada")
    await harness.handler.compactor.wait_idle()
    asked = len(harness.model.requests)
    again = await harness.ask("what is my name?")
    assert again.answer == "Your name is Ada."
    assert len(harness.model.requests) == asked + 1, "refused once, not at every message"


async def test_an_answer_of_another_model_that_is_refused_stops_no_later_message(
    harness: HandlerHarness,
) -> None:
    """M6: words that passed once, and are refused in history, do not fail the messages after them."""
    turn = Turn("old", (make_message("what burns?"),)).ended("complete", f"Pure {POISON}.")
    await harness.history.append(TurnWrite(turn, tokens=tokens_of(turn)))
    harness.model.default = filtering(REFUSALS["Azure"])
    assert (await harness.ask("hello")).answer == "You said: hello"


async def test_a_message_that_is_refused_alone_too_is_asked_twice_and_no_more(
    harness: HandlerHarness,
) -> None:
    for number in range(10):
        await harness.ask(f"number {number}")
    harness.model.script = [fail(400, "content_filter"), fail(400, "content_filter"), say("never")]
    assert (await harness.ask("hm")).note == "AnswerFiltered"
    assert len(harness.model.requests) == 12
    assert len(await harness.remembered()) == 11, "the window stays as it was"


async def test_an_extract_that_is_refused_stops_no_later_message(harness: HandlerHarness) -> None:
    """M6: refused words in notes do not fail the messages after them."""
    await harness.ask("hello")
    past = await harness.history.read(KEY)
    extract = FoldState(f"user: I sell {POISON}", extracted_to=1)
    await harness.history.fold(past, KEY, summary="", to=0, state=extract)
    await harness.history.fold(past, KEY, summary=f"They sell {POISON}.", to=0, state=extract)
    harness.model.default = filtering(REFUSALS["DashScope"])
    assert (await harness.ask("hi")).answer == "You said: hi"


async def test_notes_that_make_a_prompt_too_long_are_left_out(harness: HandlerHarness) -> None:
    await harness.ask("hello")
    past = await harness.history.read(KEY)
    await harness.history.fold(past, KEY, summary="They met.", to=1)
    harness.model.script = [fail(400, "context_length_exceeded")]
    assert (await harness.ask("hi")).answer == "You said: hi"
