"""An answer grows before people's eyes; whatever becomes of its stream, in the end it stands there whole."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.slack.action_ids import FEEDBACK, STOP
from adapters.slack.api.rate_limiter import Budget
from adapters.slack.outbound.reply import SlackReply
from bot.conversation import Address
from tests.adapters.slack.outbound_harness import Mouth, prose, slack_mouth, turn_of
from tests.support.wait import wait_until


@pytest.fixture
async def mouth() -> AsyncIterator[Mouth]:
    async with slack_mouth() as found:
        yield found


async def tell(
    mouth: Mouth, address: Address, text: str, *, pieces: int = 12, **options: object
) -> SlackReply:
    """Show `text` in pieces, and finish once something of the first was seen."""
    reply = mouth.reply(address, **options)
    await reply.set_status("thinking")
    for piece in cut(text, pieces):
        await reply.show(piece)
        await wait_until(lambda: mouth.answers(address))
        await asyncio.sleep(0.03)
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    return reply


def cut(text: str, pieces: int) -> list[str]:
    size = max(1, len(text) // pieces)
    return [text[start : start + size] for start in range(0, len(text), size)]


async def test_the_first_words_are_there_before_the_others_are_thought(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.set_status("thinking")
    await reply.show("Well")
    await wait_until(lambda: mouth.seen(address) == "Well")
    await reply.show(", yes.")
    await wait_until(lambda: mouth.seen(address) == "Well, yes.")
    (message,) = mouth.answers(address)
    assert message.streaming
    await reply.finish(turn_of(address, "Well, yes."))
    assert not message.streaming
    assert {button["action_id"] for button in message.buttons} == {FEEDBACK}
    await reply.aclose()
    assert mouth.seen(address) == "Well, yes."


async def test_sixty_thousand_characters_arrive_whole_and_in_order(mouth: Mouth) -> None:
    address, text = mouth.ask(), prose(60_000)
    reply, shown = mouth.reply(address), 0
    for piece in cut(text, 60):
        await reply.show(piece)
        await wait_until(lambda shown=shown: len(mouth.seen(address)) > shown)
        shown += len(piece)
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    assert mouth.seen(address) == text
    messages = mouth.answers(address)
    assert 6 <= len(messages) <= 8
    assert all(message.streamed and not message.streaming for message in messages)
    assert all(len(message.text) <= 11_000 for message in messages)
    assert [bool(message.buttons) for message in messages] == [False] * (len(messages) - 1) + [True]
    assert not [call for call in mouth.server.calls if call.error]


async def test_sixty_thousand_characters_arrive_whole_at_slacks_own_rates() -> None:
    """A call may be held up on its way, and come too soon after all: then it is made again."""
    async with slack_mouth(enforce_rates=True, post_every_s=0.2) as mouth:
        mouth.use(budget=Budget(post_every_s=0.4))
        address, text = mouth.ask(), prose(60_000)
        await tell(mouth, address, text)
        assert mouth.seen(address) == text


async def test_a_stream_killed_after_a_while_is_completed_by_an_edit() -> None:
    async with slack_mouth() as mouth:
        address, text = mouth.ask(), prose(6_000)
        reply = mouth.reply(address)
        for piece in cut(text, 20):
            await reply.show(piece)
            await wait_until(lambda: mouth.answers(address))
            mouth.server.stream_lifetime_s = 0
        await reply.finish(turn_of(address, text))
        await reply.aclose()
        (message,) = mouth.answers(address)
        assert message.text == text
        assert not message.streaming
        assert mouth.server.called("chat.update", ok=True)
        assert {button["action_id"] for button in message.buttons} == {FEEDBACK}


async def test_a_stream_that_died_in_silence_is_completed_by_an_edit(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.show("The beginning")
    await wait_until(lambda: mouth.seen(address) == "The beginning")
    mouth.answers(address)[0].streaming = False
    await reply.finish(turn_of(address, "The beginning and the end."))
    await reply.aclose()
    assert mouth.seen(address) == "The beginning and the end."
    assert len(mouth.answers(address)) == 1


@pytest.mark.parametrize("most", [300, 3_000, 8_000])
async def test_streams_that_hold_less_than_they_should_lose_nothing(most: int) -> None:
    async with slack_mouth(stream_holds=most) as mouth:
        address, text = mouth.ask(), prose(25_000)
        await tell(mouth, address, text)
        assert mouth.seen(address) == text
        assert len(mouth.answers(address)) == 3


@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream"])
@pytest.mark.parametrize("after", [True, False])
async def test_a_lost_answer_of_a_stream_neither_loses_nor_doubles_anything(
    mouth: Mouth, method: str, after: bool
) -> None:
    address, text = mouth.ask(), prose(14_000)
    mouth.server.fail(method, after=after, cut=not after)
    await tell(mouth, address, text)
    assert mouth.seen(address) == text
    assert not any(message.streaming for message in mouth.answers(address))


@pytest.mark.parametrize(
    "method", ["chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"]
)
@pytest.mark.parametrize("code", ["internal_error", "invalid_arguments", "brand_new_error", ""])
async def test_whatever_slack_says_no_to_the_answer_is_there_in_the_end(
    mouth: Mouth, method: str, code: str
) -> None:
    address, text = mouth.ask(), prose(14_000)
    mouth.server.fail(method, error=code, status=200 if code else 502, times=2)
    mouth.server.stream_dies_at = 2_000
    if method == "chat.update" and code in ("invalid_arguments", "brand_new_error"):
        mouth.server.stream_dies_at = None
    await tell(mouth, address, text)
    assert mouth.seen(address) == text
    assert not any(message.streaming for message in mouth.answers(address))


async def test_streams_name_whom_they_are_for_in_channels(mouth: Mouth) -> None:
    address = mouth.ask(user="U2")
    await tell(mouth, address, "Yes.")
    (call,) = mouth.server.called("chat.startStream")
    assert (call.args["recipient_user_id"], call.args["recipient_team_id"]) == ("U2", "T1")


async def test_without_a_person_to_name_messages_are_edited(mouth: Mouth) -> None:
    asked = mouth.ask()
    address = Address(
        asked.session, "channel", reply_to_id=asked.reply_to_id, details=asked.details
    )
    await tell(mouth, address, prose(3_000))
    assert mouth.seen(address) == prose(3_000)
    assert not mouth.server.called("chat.startStream")
    assert not mouth.answers(address)[0].streamed


@pytest.mark.parametrize(
    "why", ["no agent", "deaf to stop", "unknown method", "no thread", "not in this place"]
)
async def test_where_slack_does_not_stream_one_message_is_edited_and_can_be_stopped(
    mouth: Mouth, why: str
) -> None:
    mouth.server.is_agent = why != "no agent"
    mouth.server.hears_stop = why != "deaf to stop"
    if why == "unknown method":
        mouth.server.unknown.add("chat.startStream")
    if why == "not in this place":
        mouth.server.fail("chat.startStream", error="channel_type_not_supported")
    address = mouth.ask("D1", in_thread=False) if why == "no thread" else mouth.ask()
    reply = mouth.reply(address)
    await reply.set_status("thinking")
    await reply.show("One, ")
    await wait_until(lambda: mouth.seen(address) == "One, ")
    await reply.show("two, ")
    await wait_until(lambda: mouth.seen(address) == "One, two, ")
    (message,) = mouth.answers(address)
    assert not message.streamed
    assert [button["action_id"] for button in message.buttons] == [STOP]
    await reply.finish(turn_of(address, "One, two, three."))
    await reply.aclose()
    assert mouth.seen(address) == "One, two, three."
    assert {button["action_id"] for button in message.buttons} == {FEEDBACK}


async def test_what_a_workspace_cannot_do_is_tried_once(mouth: Mouth) -> None:
    mouth.server.unknown |= {"chat.startStream"}
    for _ in range(3):
        await tell(mouth, mouth.ask(), "Yes.")
    assert len(mouth.server.called("chat.startStream")) == 1
    mouth.server.is_agent = False
    for _ in range(3):
        await tell(mouth, mouth.ask(), "Yes.")
    refused = [one for one in mouth.server.called("agents.sessions.setStatus") if one.error]
    assert len(refused) == 1


async def test_a_long_edited_answer_rolls_over_and_only_its_growing_message_can_be_stopped(
    mouth: Mouth,
) -> None:
    mouth.server.is_agent = False
    address, text = mouth.ask(), prose(30_000)
    reply = mouth.reply(address)
    for start in range(0, len(text), 1_000):
        await reply.show(text[start : start + 1_000])
        await asyncio.sleep(0.01)
    await wait_until(lambda: len(mouth.answers(address)) == 4)
    await wait_until(
        lambda: (
            [
                [button["action_id"] for button in message.buttons]
                for message in mouth.answers(address)
            ]
            == [[], [], [], [STOP]]
        )
    )
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    assert mouth.seen(address) == text
    assert {
        button["action_id"] for message in mouth.answers(address) for button in message.buttons
    } == {FEEDBACK}


async def test_a_flood_of_words_makes_no_flood_of_calls(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address, pace_s=3_600)
    for _ in range(200):
        await reply.show("word ")
        await wait_until(lambda: mouth.answers(address))
    await reply.finish(turn_of(address, "word " * 200))
    await reply.aclose()
    assert mouth.seen(address) == "word " * 200
    assert len(mouth.server.called("chat.startStream")) == 1
    assert not mouth.server.called("chat.appendStream")


async def test_being_limited_while_showing_delays_the_show_and_not_the_answer(mouth: Mouth) -> None:
    address, text = mouth.ask(), prose(3_000)
    mouth.server.fail("chat.appendStream", status=429, retry_after=3_600, times=50)
    reply = mouth.reply(address)
    await reply.show(text[:100])
    await wait_until(lambda: mouth.answers(address))
    await reply.show(text[100:200])
    await wait_until(lambda: mouth.server.called("chat.appendStream"))
    await reply.show(text[200:])
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    assert mouth.seen(address) == text
    assert len(mouth.server.called("chat.appendStream")) == 1


async def test_a_message_somebody_deleted_while_it_grew_is_said_again(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.show("The beginning ")
    await wait_until(lambda: mouth.answers(address))
    mouth.answers(address)[0].deleted = True
    await reply.finish(turn_of(address, "The beginning and the end."))
    await reply.aclose()
    assert mouth.seen(address) == "The beginning and the end."


async def test_an_answer_other_than_what_was_shown_replaces_it(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.show(prose(25_000))
    await wait_until(lambda: len(mouth.answers(address)) == 3)
    await reply.finish(turn_of(address, "Something short."))
    await reply.aclose()
    assert mouth.seen(address) == "Something short."


async def test_nobody_is_called_by_what_the_model_writes_not_even_for_a_moment(
    mouth: Mouth,
) -> None:
    text = "Hey <!channel> and <!subteam^S1|@devs> and <@U0123ABC> and @here: done. " * 20
    address = mouth.ask()
    reply = mouth.reply(address, pace_s=0.001)
    for char in text:
        await reply.show(char)
        await asyncio.sleep(0)
    await wait_until(lambda: len(mouth.answers(address)) == 1)
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    (message,) = mouth.answers(address)
    call = re.compile(r"<!(channel|here|subteam)|<@U|(?<!\w)@here")
    for seen in (message.text, message.fallback, *message.edits):
        assert not call.search(seen)
    assert message.text.replace("\u200b", "") == text


async def test_nothing_is_shown_after_a_place_is_gone(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    mouth.server.space.channels["C1"].archived = True
    await reply.show("One ")
    await wait_until(lambda: mouth.server.called("chat.startStream"))
    await reply.show("two ")
    await reply.aclose()
    assert len(mouth.server.called("chat.startStream")) == 1


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
    streams=st.booleans(),
    dies_at=st.sampled_from([None, 900, 7_000]),
)
def test_whatever_the_model_writes_and_whatever_dies_people_see_its_words(
    text: str, cuts: list[int], streams: bool, dies_at: int | None
) -> None:
    async def check() -> None:
        async with slack_mouth(is_agent=streams, stream_dies_at=dies_at) as mouth:
            address = mouth.ask()
            reply = mouth.reply(address, pace_s=0.001)
            at = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
            for start, end in pairwise(at):
                await reply.show(text[start:end])
                await asyncio.sleep(0.005)
            await reply.finish(turn_of(address, text))
            await reply.aclose()
            if not text.strip():
                return
            assert bare(mouth.seen(address)) == bare(text)

    asyncio.run(check())


def bare(text: str) -> str:
    """Without what may be said again at the head of a message: fences, table heads, and what nobody sees."""
    text = re.sub(r"```(?:python)?\n?|\| a \| b \|\n\|---\|---\|\n", "", text)
    return re.sub(r"[\s\u200b]+", "", text)
