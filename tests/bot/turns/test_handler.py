"""Handler: history is read, the model called, the turn written, and the answer handed over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from bot.conversation import Turn
from bot.errors import (
    MessageTooLong,
    ModelBroken,
    Overtaken,
)
from bot.ports import Delivery
from bot.prompt.transcript import messages_of
from bot.turns.delivery import NOT_REMEMBERED
from bot.turns.stop_signal import StopSignal
from tests.fakes.model_server import Behaviour, Exchange, cut, fail, say, stall, truncated
from tests.support.handler_harness import HandlerHarness, RecordingReply
from tests.support.messages import KEY
from tests.support.wait import wait_until


def meanwhile(act: Callable[[], Awaitable[object]], text: str = "so") -> Behaviour:
    """The model answers `text`, and `act` is done before it begins."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        await act()
        return await say(text)(exchange)

    return behave


async def test_a_turn_reads_history_then_calls_the_model_then_is_written_then_handed_over(
    harness: HandlerHarness,
) -> None:
    await harness.ask("my name is Ada")
    order: list[tuple[str, list[str]]] = []

    async def look(when: str) -> None:
        order.append((when, [turn.answer for turn in await harness.remembered()]))

    class Watched(RecordingReply):
        async def finish(self, turn: Turn) -> Delivery:
            await look("handed over")
            return await super().finish(turn)

    harness.model.script = [meanwhile(lambda: look("thinking"), "Your name is Ada.")]
    reply = Watched()
    done = await harness.ask("what is my name?", reply=reply)
    assert "my name is Ada" in [m["content"] for m in harness.model.requests[-1].messages]
    assert order == [
        ("thinking", ["You said: my name is Ada"]),
        ("handed over", ["You said: my name is Ada", "Your name is Ada."]),
    ]
    kinds = [kind for kind, _ in reply.calls]
    assert (kinds[0], kinds[-2:]) == ("set_status", ["finish", "aclose"])
    assert "".join(reply.texts("show")) == "Your name is Ada."
    assert (done.state, done.answer_ids) == ("complete", (f"m-{done.id}",))
    assert done.usage
    assert (await harness.remembered())[-1] == done, "the ids of its messages are noted too"


@pytest.mark.parametrize(
    ("behaviour", "shown", "sentence"),
    [
        (fail(401, "invalid_api_key"), "", "does not let me in"),
        (truncated("The first half"), "The first half", "cut off"),
        (cut("The first half"), "The first half", "cut off"),
    ],
)
async def test_a_failed_answer_is_shown_as_an_error_and_remembered_as_failed(
    harness: HandlerHarness, behaviour: Behaviour, shown: str, sentence: str
) -> None:
    harness.model.script = [behaviour]
    reply = RecordingReply()
    done = await harness.ask("my name is Ada", reply=reply)
    assert (done.state, done.answer) == ("failed", shown)
    assert reply.texts("finish") == []
    assert [sentence in text for text in reply.texts("fail")] == [True]
    assert await harness.remembered() == [done]
    await harness.ask("what is my name?", reply=reply)
    assert reply.texts("finish") == ["Your name is Ada."], "what was said still counts"
    _, _, answer, _ = (m["content"] for m in harness.model.requests[-1].messages)
    assert "technical problem]" in answer
    assert answer.startswith(shown)


async def test_a_stopped_answer_is_remembered_as_what_was_shown_of_it(
    harness: HandlerHarness,
) -> None:
    harness.model.script = [stall("Once upon a time")]
    reply, stop = RecordingReply(), StopSignal()
    asked = asyncio.create_task(harness.ask("tell me a story", reply=reply, stop=stop))
    await wait_until(lambda: "".join(reply.texts("show")) == "Once upon a time")
    stop.request()
    done = await asked
    assert (done.state, done.answer) == ("stopped", "Once upon a time")
    assert reply.texts("finish") == ["Once upon a time"]
    assert await harness.remembered() == [done]
    assert "stopped" in messages_of(done)[1].text


async def test_an_answer_that_cannot_be_written_is_delivered_with_a_notice(
    harness: HandlerHarness,
) -> None:
    await harness.ask("hello")
    harness.model.script = [
        meanwhile(lambda: harness.redis.config_set("maxmemory", 1), "an answer")
    ]
    reply = RecordingReply()
    try:
        done = await harness.ask("what now?", reply=reply)
    finally:
        await harness.redis.config_set("maxmemory", 0)
    assert reply.texts("finish") == ["an answer"]
    assert reply.texts("post") == [NOT_REMEMBERED]
    assert done.state == "complete"
    assert [turn.answer for turn in await harness.remembered()] == ["You said: hello"]


async def test_a_write_is_tried_again_while_memory_is_full(harness: HandlerHarness) -> None:
    await harness.ask("hello")
    harness.handler.retry_write_for_s = 30
    harness.model.script = [
        meanwhile(lambda: harness.redis.config_set("maxmemory", 1), "an answer")
    ]
    await harness.redis.config_resetstat()
    reply = RecordingReply()
    asked = asyncio.create_task(harness.ask("what now?", reply=reply))

    async def was_refused() -> bool:
        return "errorstat_OOM" in await harness.redis.info("errorstats")

    try:
        await wait_until(was_refused)
    finally:
        await harness.redis.config_set("maxmemory", 0)
    await asked
    assert (reply.texts("finish"), reply.texts("post")) == (["an answer"], [])
    assert len(await harness.remembered()) == 2


async def test_a_turn_without_memory_fails_before_the_model_is_called(
    harness: HandlerHarness,
) -> None:
    await harness.redis.set(harness.history.keys.of(KEY, "state"), "no hash", ex=100)
    reply = RecordingReply()
    done = await harness.ask("hello", reply=reply)
    assert done.state == "failed"
    assert ["memory is not working" in text for text in reply.texts("fail")] == [True]
    assert harness.model.requests == []
    assert reply.calls[-1][0] == "aclose"


async def test_a_retryable_model_error_before_the_first_token_goes_back_to_the_inbox(
    harness: HandlerHarness,
) -> None:
    harness.model.script = [fail(500), truncated("half"), fail(401)]
    reply = RecordingReply()
    with pytest.raises(ModelBroken):
        await harness.ask("hello", reply=reply, may_retry=True)
    assert await harness.remembered() == []
    assert [kind for kind, _ in reply.calls] == ["set_status", "aclose"]
    assert (await harness.ask("hello", reply=reply, may_retry=True)).state == "failed", "was shown"
    assert (await harness.ask("again", reply=reply, may_retry=True)).state == "failed", "stays so"


@pytest.mark.parametrize("by_reset", [True, False])
@pytest.mark.parametrize("behaviour", [say("too late"), fail(401)])
async def test_an_overtaken_turn_writes_and_shows_nothing_more(
    harness: HandlerHarness, behaviour: Behaviour, by_reset: bool
) -> None:
    await harness.ask("hello", fence=1)

    async def overtake(exchange: Exchange) -> web.StreamResponse:
        if by_reset:
            await harness.history.reset(KEY)
        else:
            await harness.history.read(KEY, fence=9)
        return await behaviour(exchange)

    harness.model.script = [overtake]
    reply = RecordingReply()
    with pytest.raises(Overtaken) as caught:
        await harness.ask("go on", reply=reply, fence=2)
    assert caught.value.by_reset == by_reset
    assert not reply.texts("finish") + reply.texts("fail") + reply.texts("post")
    assert reply.calls[-1][0] == "aclose"
    assert len(await harness.remembered()) == (0 if by_reset else 1)


async def test_a_message_too_long_for_any_prompt_does_not_push_out_what_was_said_before(
    harness: HandlerHarness,
) -> None:
    await harness.ask("my name is Ada")
    reply = RecordingReply()
    done = await harness.ask("blah " * 9_000, reply=reply)
    assert (done.state, done.note) == ("failed", MessageTooLong.__name__)
    assert "send it in parts" in reply.texts("fail")[0]
    await harness.ask("what is my name?", reply=reply)
    assert reply.texts("finish") == ["Your name is Ada."]


async def test_an_answer_without_words_leaves_no_empty_message_in_later_prompts(
    harness: HandlerHarness,
) -> None:
    """Some endpoints refuse those, and with them every later question of the conversation."""
    harness.model.script = [say(" ")]
    assert (await harness.ask("hello")).state == "complete"
    await harness.ask("and now?")
    assert all(message["content"].strip() for message in harness.model.requests[-1].messages)


async def test_an_overheard_message_is_remembered_without_calling_the_model(
    harness: HandlerHarness,
) -> None:
    await harness.handler.overhear(replace((await harness.ask("hello")), id="heard", state="asked"))
    assert [turn.state for turn in await harness.remembered()] == ["complete", "overheard"]
    assert len(harness.model.requests) == 1


async def test_a_handler_that_is_cancelled_leaves_no_stream_open_and_writes_nothing(
    harness: HandlerHarness,
) -> None:
    harness.model.script = [stall("so")]
    reply = RecordingReply()
    asked = asyncio.create_task(harness.ask("hello", reply=reply))
    await wait_until(lambda: reply.texts("show"))
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await wait_until(lambda: harness.model.open_streams == 0)
    assert reply.calls[-1][0] == "aclose"
    assert await harness.remembered() == []


async def test_an_older_worker_is_overtaken_before_it_calls_the_model(
    harness: HandlerHarness,
) -> None:
    await harness.ask("hello", fence=5)
    reply = RecordingReply()
    with pytest.raises(Overtaken):
        await harness.ask("older", reply=reply, fence=4)
    assert [kind for kind, _ in reply.calls] == ["set_status", "aclose"]
    assert len(harness.model.requests) == 1
