"""Streaming: an answer is shown as it grows, and is whole in the end whatever happens to its stream."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.slack.action_ids import FEEDBACK, STOP
from adapters.slack.api.rate_limiter import RateLimiter
from adapters.slack.outbound.reply import SlackReply
from bot.conversation import Address
from tests.adapters.slack.outbound_harness import (
    OutboundHarness,
    open_outbound_harness,
    prose,
    turn_of,
)
from tests.support.wait import wait_until


async def tell(
    outbound: OutboundHarness, address: Address, text: str, *, pieces: int = 12, **options: object
) -> SlackReply:
    """Show `text` in pieces, and finish once something of the first was seen."""
    reply = outbound.reply(address, **options)
    await reply.set_status("thinking")
    for piece in cut(text, pieces):
        await reply.show(piece)
        await wait_until(lambda: outbound.answers(address))
        await asyncio.sleep(0.03)
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    return reply


def cut(text: str, pieces: int) -> list[str]:
    size = max(1, len(text) // pieces)
    return [text[start : start + size] for start in range(0, len(text), size)]


async def test_the_first_text_is_shown_before_the_rest_is_written(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await reply.show("Well")
    await wait_until(lambda: outbound.seen(address) == "Well")
    await reply.show(", yes.")
    await wait_until(lambda: outbound.seen(address) == "Well, yes.")
    (message,) = outbound.answers(address)
    assert message.streaming
    await reply.finish(turn_of(address, "Well, yes."))
    assert not message.streaming
    assert {button["action_id"] for button in message.buttons} == {FEEDBACK}
    await reply.aclose()
    assert outbound.seen(address) == "Well, yes."


async def test_sixty_thousand_characters_arrive_whole_and_in_order(
    outbound: OutboundHarness,
) -> None:
    address, text = outbound.ask(), prose(60_000)
    reply, shown = outbound.reply(address), 0
    for piece in cut(text, 60):
        await reply.show(piece)
        await wait_until(lambda shown=shown: len(outbound.seen(address)) > shown)
        shown += len(piece)
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    assert outbound.seen(address) == text
    messages = outbound.answers(address)
    assert 6 <= len(messages) <= 8
    assert all(message.streamed and not message.streaming for message in messages)
    assert all(len(message.text) <= 11_000 for message in messages)
    assert [bool(message.buttons) for message in messages] == [False] * (len(messages) - 1) + [True]
    assert not [call for call in outbound.server.calls if call.error]


async def test_sixty_thousand_characters_arrive_whole_at_slacks_own_rates() -> None:
    """A call may be held up on its way, and come too soon after all: then it is made again."""
    async with open_outbound_harness(enforce_rates=True, post_every_s=0.2) as outbound:
        outbound.use(rate_limiter=RateLimiter(post_every_s=0.4))
        address, text = outbound.ask(), prose(60_000)
        await tell(outbound, address, text)
        assert outbound.seen(address) == text


async def test_a_stream_killed_after_a_while_is_completed_by_an_edit() -> None:
    async with open_outbound_harness() as outbound:
        address, text = outbound.ask(), prose(6_000)
        reply = outbound.reply(address)
        for piece in cut(text, 20):
            await reply.show(piece)
            await wait_until(lambda: outbound.answers(address))
            outbound.server.stream_lifetime_s = 0
        await reply.finish(turn_of(address, text))
        await reply.aclose()
        (message,) = outbound.answers(address)
        assert message.text == text
        assert not message.streaming
        assert outbound.server.called("chat.update", ok=True)
        assert {button["action_id"] for button in message.buttons} == {FEEDBACK}


async def test_a_stream_that_died_in_silence_is_completed_by_an_edit(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.show("The beginning")
    await wait_until(lambda: outbound.seen(address) == "The beginning")
    outbound.answers(address)[0].streaming = False
    await reply.finish(turn_of(address, "The beginning and the end."))
    await reply.aclose()
    assert outbound.seen(address) == "The beginning and the end."
    assert len(outbound.answers(address)) == 1


@pytest.mark.parametrize("most", [300, 3_000, 8_000])
async def test_streams_that_hold_less_than_they_should_lose_nothing(most: int) -> None:
    async with open_outbound_harness(stream_holds=most) as outbound:
        address, text = outbound.ask(), prose(25_000)
        await tell(outbound, address, text)
        assert outbound.seen(address) == text
        assert len(outbound.answers(address)) == 3


@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream"])
@pytest.mark.parametrize("after", [True, False])
async def test_a_lost_answer_of_a_stream_neither_loses_nor_doubles_anything(
    outbound: OutboundHarness, method: str, after: bool
) -> None:
    address, text = outbound.ask(), prose(14_000)
    outbound.server.fail(method, after=after, cut=not after)
    await tell(outbound, address, text)
    assert outbound.seen(address) == text
    assert not any(message.streaming for message in outbound.answers(address))


@pytest.mark.parametrize(
    "method", ["chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"]
)
@pytest.mark.parametrize("code", ["internal_error", "invalid_arguments", "brand_new_error", ""])
async def test_an_answer_is_delivered_whatever_call_slack_refuses(
    outbound: OutboundHarness, method: str, code: str
) -> None:
    address, text = outbound.ask(), prose(14_000)
    outbound.server.fail(method, error=code, status=200 if code else 502, times=2)
    outbound.server.stream_dies_at = 2_000
    if method == "chat.update" and code in ("invalid_arguments", "brand_new_error"):
        outbound.server.stream_dies_at = None
    await tell(outbound, address, text)
    assert outbound.seen(address) == text
    assert not any(message.streaming for message in outbound.answers(address))


async def test_streams_name_whom_they_are_for_in_channels(outbound: OutboundHarness) -> None:
    address = outbound.ask(user="U2")
    await tell(outbound, address, "Yes.")
    (call,) = outbound.server.called("chat.startStream")
    assert (call.args["recipient_user_id"], call.args["recipient_team_id"]) == ("U2", "T1")


async def test_messages_for_no_named_person_are_edited(outbound: OutboundHarness) -> None:
    asked = outbound.ask()
    address = Address(
        asked.session, "channel", reply_to_id=asked.reply_to_id, details=asked.details
    )
    await tell(outbound, address, prose(3_000))
    assert outbound.seen(address) == prose(3_000)
    assert not outbound.server.called("chat.startStream")
    assert not outbound.answers(address)[0].streamed


@pytest.mark.parametrize(
    "why", ["no agent", "deaf to stop", "unknown method", "no thread", "not in this place"]
)
async def test_a_message_with_a_stop_button_is_edited_where_slack_does_not_stream(
    outbound: OutboundHarness, why: str
) -> None:
    outbound.server.is_agent = why != "no agent"
    outbound.server.subscribes_stop = why != "deaf to stop"
    if why == "unknown method":
        outbound.server.unknown.add("chat.startStream")
    if why == "not in this place":
        outbound.server.fail("chat.startStream", error="channel_type_not_supported")
    address = outbound.ask("D1", in_thread=False) if why == "no thread" else outbound.ask()
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await reply.show("One, ")
    await wait_until(lambda: outbound.seen(address) == "One, ")
    await reply.show("two, ")
    await wait_until(lambda: outbound.seen(address) == "One, two, ")
    (message,) = outbound.answers(address)
    assert not message.streamed
    assert [button["action_id"] for button in message.buttons] == [STOP]
    await reply.finish(turn_of(address, "One, two, three."))
    await reply.aclose()
    assert outbound.seen(address) == "One, two, three."
    assert {button["action_id"] for button in message.buttons} == {FEEDBACK}


async def test_a_feature_that_a_workspace_lacks_is_tried_once(outbound: OutboundHarness) -> None:
    outbound.server.unknown |= {"chat.startStream"}
    for _ in range(3):
        await tell(outbound, outbound.ask(), "Yes.")
    assert len(outbound.server.called("chat.startStream")) == 1
    outbound.server.is_agent = False
    for _ in range(3):
        await tell(outbound, outbound.ask(), "Yes.")
    refused = [call for call in outbound.server.called("agents.sessions.setStatus") if call.error]
    assert len(refused) == 1


async def test_a_long_edited_answer_rolls_over_and_only_its_growing_message_can_be_stopped(
    outbound: OutboundHarness,
) -> None:
    outbound.server.is_agent = False
    address, text = outbound.ask(), prose(30_000)
    reply = outbound.reply(address)
    for start in range(0, len(text), 1_000):
        await reply.show(text[start : start + 1_000])
        await asyncio.sleep(0.01)
    await wait_until(lambda: len(outbound.answers(address)) == 4)
    await wait_until(
        lambda: (
            [
                [button["action_id"] for button in message.buttons]
                for message in outbound.answers(address)
            ]
            == [[], [], [], [STOP]]
        )
    )
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    assert outbound.seen(address) == text
    assert {
        button["action_id"] for message in outbound.answers(address) for button in message.buttons
    } == {FEEDBACK}


async def test_many_deltas_make_few_calls(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    reply = outbound.reply(address, pace_s=3_600)
    for _ in range(200):
        await reply.show("word ")
        await wait_until(lambda: outbound.answers(address))
    await reply.finish(turn_of(address, "word " * 200))
    await reply.aclose()
    assert outbound.seen(address) == "word " * 200
    assert len(outbound.server.called("chat.startStream")) == 1
    assert not outbound.server.called("chat.appendStream")


async def test_a_rate_limit_while_streaming_delays_no_delivery(
    outbound: OutboundHarness,
) -> None:
    address, text = outbound.ask(), prose(3_000)
    outbound.server.fail("chat.appendStream", status=429, retry_after=3_600, times=50)
    reply = outbound.reply(address)
    await reply.show(text[:100])
    await wait_until(lambda: outbound.answers(address))
    await reply.show(text[100:200])
    await wait_until(lambda: outbound.server.called("chat.appendStream"))
    await reply.show(text[200:])
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    assert outbound.seen(address) == text
    assert len(outbound.server.called("chat.appendStream")) == 1


async def test_a_message_deleted_while_it_grew_is_posted_again(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.show("The beginning ")
    await wait_until(lambda: outbound.answers(address))
    outbound.answers(address)[0].deleted = True
    await reply.finish(turn_of(address, "The beginning and the end."))
    await reply.aclose()
    assert outbound.seen(address) == "The beginning and the end."


async def test_an_answer_other_than_what_was_shown_replaces_it(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.show(prose(25_000))
    await wait_until(lambda: len(outbound.answers(address)) == 3)
    await reply.finish(turn_of(address, "Something short."))
    await reply.aclose()
    assert outbound.seen(address) == "Something short."


async def test_mentions_in_an_answer_are_disabled_in_every_update(
    outbound: OutboundHarness,
) -> None:
    text = "Hey <!channel> and <!subteam^S1|@devs> and <@U0123ABC> and @here: done. " * 20
    address = outbound.ask()
    reply = outbound.reply(address, pace_s=0.001)
    for char in text:
        await reply.show(char)
        await asyncio.sleep(0)
    await wait_until(lambda: len(outbound.answers(address)) == 1)
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    (message,) = outbound.answers(address)
    call = re.compile(r"<!(channel|here|subteam)|<@U|(?<!\w)@here")
    for seen in (message.text, message.fallback, *message.edits):
        assert not call.search(seen)
    assert message.text.replace("\u200b", "") == text


async def test_updates_end_once_the_place_is_gone(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    outbound.server.space.channels["C1"].archived = True
    await reply.show("One ")
    await wait_until(lambda: outbound.server.called("chat.startStream"))
    await reply.show("two ")
    await reply.aclose()
    assert len(outbound.server.called("chat.startStream")) == 1


MARKDOWN = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["word ", "A line.\n", "x", "😀", "\n\n"]), st.integers(1, 9_000)).map(
            lambda pair: pair[0] * pair[1]
        ),
        st.sampled_from(["```python\n", "```\n", "\n| a | b |\n|---|---|\n", "| 1 | 2 |\n" * 700, "<!here>"]),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u200b"), max_size=40),
    ),
    min_size=1,
    max_size=8,
).map("".join)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    text=MARKDOWN,
    cuts=st.lists(st.integers(0, 40_000), max_size=6),
    is_agent=st.booleans(),
    dies_at=st.sampled_from([None, 900, 7_000]),
)
def test_an_answer_is_shown_whole_whatever_it_holds_and_whatever_stream_dies(
    text: str, cuts: list[int], is_agent: bool, dies_at: int | None
) -> None:
    async def check() -> None:
        async with open_outbound_harness(is_agent=is_agent, stream_dies_at=dies_at) as outbound:
            address = outbound.ask()
            reply = outbound.reply(address, pace_s=0.001)
            at = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
            for start, end in pairwise(at):
                await reply.show(text[start:end])
                await asyncio.sleep(0.005)
            await reply.finish(turn_of(address, text))
            await reply.aclose()
            if not text.strip():
                return
            assert bare(outbound.seen(address)) == bare(text)

    asyncio.run(check())


def bare(text: str) -> str:
    """Without what a message may repeat (fences, table heads), and without invisible characters."""
    text = re.sub(r"```(?:python)?\n?|\| a \| b \|\n\|---\|---\|\n", "", text)
    return re.sub(r"[\s\u200b]+", "", text)
