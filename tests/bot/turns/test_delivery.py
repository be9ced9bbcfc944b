"""Delivery of written answers: redelivered turns call no model, and repeat an answer only where they must."""

from __future__ import annotations

import pytest

from bot.errors import (
    ModelKeyRefused,
    Overtaken,
    PlatformBusy,
    PlatformUnreachable,
)
from bot.ports import Delivery
from bot.turns.delivery import PERHAPS_TWICE
from tests.fakes.model_server import fail
from tests.support.handler_harness import HandlerHarness, RecordingReply


@pytest.mark.parametrize("times", [1, 2])
async def test_an_answer_held_back_by_an_expired_lease_is_delivered_later_unmarked(
    harness: HandlerHarness, times: int
) -> None:
    """It was never shown: nobody is to be told that it may be a repetition."""
    expired = Overtaken("no sign of life for longer than the lease")
    reply = RecordingReply(failures=[expired] * times)
    for fence in range(1, times + 1):
        with pytest.raises(Overtaken):
            await harness.ask("hello", "t1", reply=reply, fence=fence)
    await harness.ask("hello", "t1", reply=reply, fence=9)
    assert reply.texts("finish") == ["You said: hello"]
    assert len(harness.model.requests) == 1


async def test_a_redelivered_turn_that_was_delivered_calls_no_model_and_posts_nothing(
    harness: HandlerHarness,
) -> None:
    first = await harness.ask("hello", "t1")
    reply = RecordingReply()
    assert await harness.ask("hello", "t1", reply=reply) == first
    assert len(harness.model.requests) == 1
    assert [kind for kind, _ in reply.calls] == ["set_status", "aclose"], "it is known to be there"


async def test_an_answer_whose_delivery_is_uncertain_is_delivered_once_more_marked(
    harness: HandlerHarness,
) -> None:
    gone = PlatformUnreachable("the line broke")
    reply = RecordingReply(failures=[gone])
    with pytest.raises(PlatformUnreachable):
        await harness.ask("more", "t3", reply=reply)
    done = await harness.ask("more", "t3", reply=reply)
    assert reply.texts("finish") == [f"{PERHAPS_TWICE}\n\nYou said: more"]
    assert done.answer == "You said: more"
    assert (await harness.remembered())[-1].answer == "You said: more"
    assert len(harness.model.requests) == 1


async def test_a_repetition_that_ended_without_ids_is_delivered(harness: HandlerHarness) -> None:
    """M1: a stored turn `complete, handover=repeated` without `answer_ids` counts as not delivered."""
    reply = RecordingReply(failures=[PlatformUnreachable("the line broke")] * 2)
    for _ in range(2):
        with pytest.raises(PlatformUnreachable):
            await harness.ask("hello", "t1", reply=reply)
    stored = (await harness.remembered())[-1]
    assert (stored.state, stored.handover, stored.answer_ids) == ("complete", "repeated", ())
    done = await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("finish") == [f"{PERHAPS_TWICE}\n\nYou said: hello"]
    assert done.answer_ids == ("m-t1",)
    await harness.ask("hello", "t1", reply=reply)
    assert len(reply.texts("finish")) == 1
    assert len(harness.model.requests) == 1


async def test_a_failure_whose_notice_ended_with_its_process_is_shown(
    harness: HandlerHarness,
) -> None:
    """M1: a failed turn `handover=repeated` was begun to be told, and nobody knows whether it was."""
    harness.model.script = [fail(401)]
    reply = RecordingReply(failures=[PlatformUnreachable("?")] * 2)
    for _ in range(2):
        with pytest.raises(PlatformUnreachable):
            await harness.ask("hello", "t1", reply=reply)
    for _ in range(2):
        await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("fail") == [ModelKeyRefused.sentence]
    assert (await harness.remembered())[-1].handover == "delivered"


async def test_an_answer_on_a_platform_without_ids_is_delivered_once(
    harness: HandlerHarness,
) -> None:
    """M1: where a platform gives no ids, the note of the delivery is its receipt."""
    reply = RecordingReply(gives_ids=False)
    for _ in range(2):
        await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("finish") == ["You said: hello"]


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


async def test_an_answer_refused_first_and_uncertain_then_is_repeated_once(
    harness: HandlerHarness,
) -> None:
    reply = RecordingReply(failures=[PlatformBusy("429"), PlatformUnreachable("?")])
    for trouble in (PlatformBusy, PlatformUnreachable):
        with pytest.raises(trouble):
            await harness.ask("hello", "t1", reply=reply)
    for _ in range(2):
        await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("finish") == [f"{PERHAPS_TWICE}\n\nYou said: hello"]


async def test_a_repetition_that_certainly_did_not_arrive_is_tried_again(
    harness: HandlerHarness,
) -> None:
    reply = RecordingReply(failures=[PlatformUnreachable("?"), PlatformBusy("429")])
    for trouble in (PlatformUnreachable, PlatformBusy):
        with pytest.raises(trouble):
            await harness.ask("hello", "t1", reply=reply)
    await harness.ask("hello", "t1", reply=reply)
    assert reply.texts("finish") == [f"{PERHAPS_TWICE}\n\nYou said: hello"]


async def test_an_answer_that_the_platform_finds_is_not_delivered_again(
    harness: HandlerHarness,
) -> None:
    reply = RecordingReply(failures=[PlatformUnreachable("?")])
    with pytest.raises(PlatformUnreachable):
        await harness.ask("hello", "t1", reply=reply)
    reply.existing_delivery = Delivery(("m-7",))
    done = await harness.ask("hello", "t1", reply=reply)
    assert (reply.texts("finish"), done.answer_ids) == ([], ("m-7",))
    assert (await harness.remembered())[-1].answer_ids == ("m-7",)


async def test_a_failure_that_could_not_be_shown_is_shown_once_later(
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
