"""The mission: remember, think, remember again, then hand over."""

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
    ModelKeyRefused,
    Overtaken,
    PlatformBusy,
    PlatformUnreachable,
)
from bot.ports import Delivery
from bot.prompt.transcript import messages_of
from bot.turns.delivery import NOT_REMEMBERED, PERHAPS_TWICE
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


async def test_the_past_is_read_before_and_the_turn_written_after_the_model_and_then_handed_over(
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
async def test_a_failed_answer_is_told_and_never_remembered_as_an_answer(
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


async def test_an_answer_that_cannot_be_written_is_handed_over_with_a_word(
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


async def test_writing_is_tried_again_for_a_while(harness: HandlerHarness) -> None:
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


async def test_without_memory_nothing_is_asked_of_the_model_and_the_person_is_told(
    harness: HandlerHarness,
) -> None:
    await harness.redis.set(harness.history.keys.of(KEY, "state"), "no hash", ex=100)
    reply = RecordingReply()
    done = await harness.ask("hello", reply=reply)
    assert done.state == "failed"
    assert ["memory is not working" in text for text in reply.texts("fail")] == [True]
    assert harness.model.requests == []
    assert reply.calls[-1][0] == "aclose"


async def test_what_may_pass_by_itself_is_left_to_the_inbox_while_nothing_was_shown(
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


async def test_an_answer_that_a_lease_in_doubt_held_back_is_delivered_later_as_if_nothing_had_been(
    harness: HandlerHarness,
) -> None:
    """It was never shown: nobody is to be told that it may be a repetition."""
    reply = RecordingReply(failures=[Overtaken("no sign of life for longer than the lease")])
    with pytest.raises(Overtaken):
        await harness.ask("hello", "t1", reply=reply, fence=1)
    await harness.ask("hello", "t1", reply=reply, fence=2)
    assert reply.texts("finish") == ["You said: hello"]
    assert len(harness.model.requests) == 1


async def test_a_written_turn_calls_no_model_again(harness: HandlerHarness) -> None:
    first = await harness.ask("hello", "t1")
    reply = RecordingReply()
    assert await harness.ask("hello", "t1", reply=reply) == first
    assert len(harness.model.requests) == 1
    assert [kind for kind, _ in reply.calls] == ["set_status", "aclose"], "it is known to be there"


async def test_an_answer_whose_delivery_is_uncertain_is_delivered_once_more_marked(
    harness: HandlerHarness,
) -> None:
    gone = PlatformUnreachable("the line broke")
    reply = RecordingReply(failures=[gone, gone])
    for _ in range(2):
        with pytest.raises(PlatformUnreachable):
            await harness.ask("hello", "t1", reply=reply)
    await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("finish") == [], "it may have been read twice by now"
    await harness.ask("other", "t2", reply=reply)
    assert reply.texts("finish") == ["You said: other"]

    reply = RecordingReply(failures=[gone])
    with pytest.raises(PlatformUnreachable):
        await harness.ask("more", "t3", reply=reply)
    done = await harness.ask("more", "t3", reply=reply)
    assert reply.texts("finish") == [f"{PERHAPS_TWICE}\n\nYou said: more"]
    assert done.answer == "You said: more"
    assert (await harness.remembered())[-1].answer == "You said: more"
    assert len(harness.model.requests) == 3


@pytest.mark.parametrize("times", [1, 3])
async def test_an_answer_that_certainly_did_not_arrive_is_delivered_unmarked(
    harness: HandlerHarness, times: int
) -> None:
    reply = RecordingReply(failures=[PlatformBusy("429")] * times)
    for _ in range(times):
        with pytest.raises(PlatformBusy):
            await harness.ask("hello", "t1", reply=reply)
    await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("finish") == ["You said: hello"]
    assert len(harness.model.requests) == 1


async def test_an_answer_that_may_have_arrived_at_last_is_still_repeated_once(
    harness: HandlerHarness,
) -> None:
    reply = RecordingReply(failures=[PlatformBusy("429"), PlatformUnreachable("?")])
    for trouble in (PlatformBusy, PlatformUnreachable):
        with pytest.raises(trouble):
            await harness.ask("hello", "t1", reply=reply)
    for _ in range(2):
        await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("finish") == [f"{PERHAPS_TWICE}\n\nYou said: hello"]


async def test_a_repetition_that_certainly_did_not_arrive_is_no_repetition(
    harness: HandlerHarness,
) -> None:
    reply = RecordingReply(failures=[PlatformUnreachable("?"), PlatformBusy("429")])
    for trouble in (PlatformUnreachable, PlatformBusy):
        with pytest.raises(trouble):
            await harness.ask("hello", "t1", reply=reply)
    await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("finish") == [f"{PERHAPS_TWICE}\n\nYou said: hello"]


async def test_a_platform_that_has_it_is_not_given_it_again(harness: HandlerHarness) -> None:
    reply = RecordingReply(failures=[PlatformUnreachable("?")])
    with pytest.raises(PlatformUnreachable):
        await harness.ask("hello", "t1", reply=reply)
    reply.existing_delivery = Delivery(("m-7",))
    done = await harness.ask("hello", "t1", reply=reply)
    assert (reply.texts("finish"), done.answer_ids) == ([], ("m-7",))
    assert (await harness.remembered())[-1].answer_ids == ("m-7",)


async def test_a_failure_that_could_not_be_told_is_told_later_as_a_failure(
    harness: HandlerHarness,
) -> None:
    harness.model.script = [fail(401)]
    reply = RecordingReply(failures=[PlatformUnreachable("?")])
    with pytest.raises(PlatformUnreachable):
        await harness.ask("hello", "t1", reply=reply)
    done = await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("fail") == [ModelKeyRefused.sentence]
    assert reply.texts("finish") == []
    assert (done.state, done.note) == ("failed", "ModelKeyRefused")
    await harness.ask("hello", "t1", reply=reply)
    assert len(reply.texts("fail")) == 1
    assert len(harness.model.requests) == 1


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


async def test_an_answer_asked_for_again_and_stopped_before_its_first_word_replaces_nothing(
    harness: HandlerHarness,
) -> None:
    old = await harness.ask("hello", "t1")
    reply, stop = RecordingReply(), StopSignal()
    stop.request()
    done = await harness.ask("hello", "t2", reply=reply, replaces="t1", stop=stop)
    assert (done.state, reply.texts("finish")) == ("stopped", [""])
    assert [turn.id for turn in await harness.remembered()] == [old.id]
    assert [turn.answer for turn in await harness.remembered()] == [old.answer]


async def test_an_answer_that_is_asked_again_replaces_the_old_one_only_if_it_succeeds(
    harness: HandlerHarness,
) -> None:
    first = await harness.ask("hello", "t1")
    harness.model.script = [fail(401), say("a better one")]
    reply = RecordingReply()
    failed = await harness.ask("hello", "t2", reply=reply, replaces="t1")
    assert (failed.state, await harness.remembered()) == ("failed", [first])
    done = await harness.ask("hello", "t2", reply=reply, replaces="t1")
    assert await harness.remembered() == [done]
    asked = [message["content"] for message in harness.model.requests[-1].messages]
    assert asked == ["Be kind.", "hello"], "the old answer is not in the way of the new one"


async def test_what_is_overheard_is_remembered_without_a_model(harness: HandlerHarness) -> None:
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


async def test_an_older_worker_is_told_before_it_asks_the_model(harness: HandlerHarness) -> None:
    await harness.ask("hello", fence=5)
    reply = RecordingReply()
    with pytest.raises(Overtaken):
        await harness.ask("older", reply=reply, fence=4)
    assert [kind for kind, _ in reply.calls] == ["set_status", "aclose"]
    assert len(harness.model.requests) == 1


async def test_answering_again_asks_for_no_summary_that_could_not_be_kept(
    harness: HandlerHarness,
) -> None:
    """A turn that was replaced is in no summary made from what was read before."""
    words = "word " * 900
    for number in range(3):
        last = await harness.ask(f"{number} {words}", "last" if number == 2 else "")
    await harness.handler.compactor.wait_idle()
    before = len(harness.model.requests)
    await harness.ask(f"2 {words}", "again", replaces=last.id)
    await harness.handler.compactor.wait_idle()
    assert len(harness.model.requests) == before + 1
