"""M5: thinking is neither remembered nor sent again, and shown only where that is wanted."""

from __future__ import annotations

import pytest

from tests.fakes.model_server import say
from tests.support.handler_harness import HandlerHarness, RecordingReply

ALOUD = say("<think>They greet.\nBe kind.</think>\n\nHello!", size=7)


async def test_thinking_is_not_shown_not_remembered_and_not_sent_again(
    harness: HandlerHarness,
) -> None:
    """M5: not in the preview, the answer, memory, or the next prompt; the status says "thinking"."""
    harness.model.script = [ALOUD]
    reply = RecordingReply()
    done = await harness.ask("hi", reply=reply)
    assert done.answer == "Hello!"
    assert reply.texts("finish") == ["Hello!"]
    assert "".join(reply.texts("show")) == "Hello!"
    assert reply.calls[0] == ("set_status", "thinking")
    (turn,) = await harness.remembered()
    assert turn.answer == "Hello!"
    await harness.ask("and?")
    assert "greet" not in str(harness.model.requests[-1].messages)


async def test_thinking_is_quoted_above_the_answer_where_it_is_wanted(
    harness: HandlerHarness,
) -> None:
    """M5: `BOT_SHOW_THINKING` shows it, above the answer; memory stays without it."""
    harness.handler.show_thinking = True
    harness.model.script = [ALOUD]
    reply = RecordingReply()
    done = await harness.ask("hi", reply=reply)
    shown = "> _Thinking:_ They greet.\n> Be kind.\n\nHello!"
    assert reply.texts("finish") == [shown]
    assert "".join(reply.texts("show")) == shown
    assert done.answer == "Hello!"
    assert [turn.answer for turn in await harness.remembered()] == ["Hello!"]


async def test_long_thinking_is_cut_where_it_is_shown(harness: HandlerHarness) -> None:
    harness.handler.show_thinking = True
    harness.model.script = [say(f"<think>{'hm ' * 2_000}</think>Hello!", size=500)]
    reply = RecordingReply()
    await harness.ask("hi", reply=reply)
    (shown,) = reply.texts("finish")
    assert shown.endswith("…\n\nHello!")
    assert len(shown) < 1_300
    assert "".join(reply.texts("show")) == shown


async def test_an_answer_without_thinking_is_shown_as_it_is(harness: HandlerHarness) -> None:
    harness.handler.show_thinking = True
    reply = RecordingReply()
    await harness.ask("hi", reply=reply)
    assert reply.texts("finish") == ["You said: hi"]


@pytest.mark.parametrize("shows", [False, True])
async def test_text_before_a_lone_closing_tag_is_not_in_the_finished_answer(
    harness: HandlerHarness, shows: bool
) -> None:
    harness.handler.show_thinking = shows
    harness.model.script = [say("They greet.</think>Hello!", size=5)]
    reply = RecordingReply()
    assert (await harness.ask("hi", reply=reply)).answer == "Hello!"
    assert reply.texts("finish") == ["Hello!"]


async def test_nothing_but_thinking_is_told_once(harness: HandlerHarness) -> None:
    harness.model.script = [say("<think>They greet.")]
    reply = RecordingReply()
    done = await harness.ask("hi", reply=reply, may_retry=True)
    assert (done.state, done.answer, done.note) == ("failed", "", "OnlyThinking")
    assert len(reply.texts("fail")) == 1
    assert len(harness.model.requests) == 1
