"""One answer while it grows: ended from outside at any moment, and with less of the past if need be."""

from __future__ import annotations

import asyncio

from aiohttp import web

from bot.errors import PromptTooLong
from bot.turns.stop_signal import StopSignal
from tests.fakes.model_server import Exchange, fail, say, stall
from tests.support.handler_harness import HandlerHarness, RecordingReply
from tests.support.wait import wait_until

TOO_LONG = fail(400, "context_length_exceeded")


async def test_a_stop_before_the_beginning_calls_no_model(harness: HandlerHarness) -> None:
    stop, reply = StopSignal(), RecordingReply()
    stop.request()
    done = await harness.ask("hello", reply=reply, stop=stop)
    assert (done.state, done.answer) == ("stopped", "")
    assert reply.texts("finish") == [""]
    assert harness.model.requests == []
    assert await harness.remembered() == [done]


async def test_a_stop_before_the_first_word_closes_the_stream(harness: HandlerHarness) -> None:
    harness.model.script = [stall("")]
    stop = StopSignal()
    asked = asyncio.create_task(harness.ask("hello", stop=stop))
    await wait_until(lambda: harness.model.open_streams == 1)
    stop.request()
    assert (await asked).state == "stopped"
    await wait_until(lambda: harness.model.open_streams == 0)


async def test_a_stop_after_the_end_changes_nothing(harness: HandlerHarness) -> None:
    stop = StopSignal()
    done = await harness.ask("hello", stop=stop)
    stop.request()
    assert (done.state, done.answer) == ("complete", "You said: hello")
    assert await harness.remembered() == [done]


async def test_a_stop_while_the_turn_is_written_leaves_the_answer_whole(
    harness: HandlerHarness,
) -> None:
    stop = StopSignal()

    class Stopper(RecordingReply):
        async def finish(self, turn):
            stop.request()
            return await super().finish(turn)

    done = await harness.ask("hello", reply=Stopper(), stop=stop)
    assert (done.state, done.answer) == ("complete", "You said: hello")


async def test_a_stop_requested_twice_ends_one_answer(harness: HandlerHarness) -> None:
    harness.model.script = [stall("so")]
    stop, reply = StopSignal(), RecordingReply()
    asked = asyncio.create_task(harness.ask("hello", reply=reply, stop=stop))
    await wait_until(lambda: reply.texts("show"))
    stop.request()
    stop.request()
    assert (await asked).answer == "so"
    assert (await harness.ask("on", stop=StopSignal())).state == "complete", (
        "and it ends no other turn"
    )


async def test_a_prompt_that_is_too_long_for_the_model_is_asked_again_with_less_of_the_past(
    harness: HandlerHarness,
) -> None:
    for number in range(6):
        await harness.ask(f"number {number}")
    harness.model.script = [TOO_LONG]
    reply = RecordingReply()
    done = await harness.ask("and now?", reply=reply)
    assert (done.state, reply.texts("finish")) == ("complete", ["You said: and now?"])
    long, short = (
        [m["content"] for m in seen.messages if m["role"] == "user"]
        for seen in harness.model.requests[-2:]
    )
    assert long == [*(f"number {number}" for number in range(6)), "and now?"]
    assert short == ["number 3", "number 4", "number 5", "and now?"]
    await harness.ask("next")
    (asked,) = [seen for seen in harness.model.requests if seen.messages[-1]["content"] == "next"]
    assert "number 2" not in str(asked.messages[2:]), "what did not fit stays out"


async def test_a_large_prompt_that_is_refused_in_unknown_words_is_asked_with_half_the_window(
    harness: HandlerHarness,
) -> None:
    """M2: tried once; a small prompt is not halved."""
    for number in range(4):
        await harness.ask(f"number {number} {'word ' * 300}")
    await harness.handler.compactor.wait_idle()
    harness.model.script = [fail(400, "", "¡demasiado!")]
    first = len(harness.model.requests)
    done = await harness.ask("and now?")
    assert (done.state, done.answer) == ("complete", "You said: and now?")
    large, half = (str(seen.messages) for seen in harness.model.requests[first : first + 2])
    assert "number 1" in large
    assert "number 1" not in half
    assert "number 3" in half


async def test_a_prompt_that_is_too_long_without_any_past_fails_the_turn(
    harness: HandlerHarness,
) -> None:
    await harness.ask("hello")
    harness.model.script = [TOO_LONG, TOO_LONG, say("never")]
    reply = RecordingReply()
    done = await harness.ask("x" * 3_000, reply=reply)
    assert (done.state, done.note) == ("failed", PromptTooLong.__name__)
    assert reply.texts("fail") == [PromptTooLong.sentence]
    assert len(harness.model.requests) == 3
    harness.model.script = []
    await harness.ask("again")
    asked = [m["content"] for m in harness.model.requests[-1].messages]
    assert "hello" in asked
    assert "x" * 500 not in str(asked), "else the next one would be too long as well"


async def test_a_prompt_is_not_made_shorter_once_something_was_shown(
    harness: HandlerHarness,
) -> None:
    async def half_way(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, "half")
        event = b'data: {"error": {"message": "x", "code": "context_length_exceeded"}}\n\n'
        await response.write(event)
        await response.write_eof()
        return response

    await harness.ask("hello")
    harness.model.script = [half_way]
    reply = RecordingReply()
    done = await harness.ask("more", reply=reply)
    assert (done.state, done.answer) == ("failed", "half")
    assert len(harness.model.requests) == 2
