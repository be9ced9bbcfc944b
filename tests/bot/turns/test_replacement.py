"""Replacement of an earlier answer, as `retry` asks for it."""

from __future__ import annotations

from bot.turns.stop_signal import StopSignal
from tests.fakes.model_server import fail, say
from tests.support.handler_harness import HandlerHarness, RecordingReply


async def test_a_replacement_stopped_before_its_first_word_keeps_the_old_answer(
    harness: HandlerHarness,
) -> None:
    old = await harness.ask("hello", "t1")
    reply, stop = RecordingReply(), StopSignal()
    stop.request()
    done = await harness.ask("hello", "t2", reply=reply, replaces="t1", stop=stop)
    assert (done.state, reply.texts("finish")) == ("stopped", [""])
    assert [turn.id for turn in await harness.remembered()] == [old.id]
    assert [turn.answer for turn in await harness.remembered()] == [old.answer]


async def test_a_replacement_takes_the_old_answers_place_only_if_it_succeeds(
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


async def test_a_replacement_starts_no_summary(
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
