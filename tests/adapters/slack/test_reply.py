"""How an answer begins and ends: its signs come and go, a second try goes on from the first, private words stay private."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.slack.action_ids import AGAIN, FEEDBACK, read_button
from adapters.slack.outbound.reply import EMPTY_ANSWER, SENT_DIRECTLY, STOPPED
from adapters.slack.outbound.status import STATUS, StatusIndicator
from bot.conversation import Address
from bot.errors import AccessRefused, ModelError, PlaceGone, PlatformUnreachable
from bot.ports import CommandButton
from tests.adapters.slack.outbound_harness import (
    OutboundHarness,
    open_outbound_harness,
    prose,
    turn_of,
)
from tests.support.wait import wait_until


@pytest.fixture
async def harness() -> AsyncIterator[OutboundHarness]:
    async with open_outbound_harness() as found:
        yield found


def status(harness: OutboundHarness, address: Address) -> str:
    return harness.server.status(address.session.place, address.details["thread_ts"])


def session(harness: OutboundHarness, address: Address) -> str:
    return harness.server.session(address.session.place, address.details["thread_ts"])


def actions(harness: OutboundHarness, address: Address) -> set[str]:
    return {button["action_id"] for one in harness.answers(address) for button in one.buttons}


# Signs.


async def test_a_status_is_shown_until_the_first_words_and_cleared_in_the_end(
    harness: OutboundHarness,
) -> None:
    address = harness.ask()
    reply = harness.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(harness, address) == "is thinking…")
    assert session(harness, address) == "processing"
    await reply.finish(turn_of(address, "Yes."))
    await reply.aclose()
    assert (status(harness, address), session(harness, address)) == ("", "active")


@pytest.mark.parametrize("how", ["failed", "stopped", "abandoned", "place gone", "cancelled"])
async def test_however_it_ends_no_status_stays_and_no_stream_is_open(
    harness: OutboundHarness, how: str
) -> None:
    address = harness.ask()
    reply = harness.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(harness, address))
    await reply.show("The beginning")
    await wait_until(lambda: harness.seen(address))
    if how == "failed":
        await reply.fail(turn_of(address, "The beginning", state="failed"), ModelError("down"))
    elif how == "stopped":
        await reply.finish(turn_of(address, "The beginning", state="stopped"))
    elif how == "place gone":
        harness.server.fail("chat.stopStream", error="channel_not_found", times=9)
        harness.server.fail("chat.update", error="channel_not_found", times=9)
        with pytest.raises(PlaceGone):
            await reply.finish(turn_of(address, "The beginning and the end."))
    elif how == "cancelled":
        ending = asyncio.create_task(reply.finish(turn_of(address, "The beginning and more.")))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
    await reply.aclose()
    assert (status(harness, address), session(harness, address)) == ("", "active")
    if how != "place gone":
        assert not any(one.streaming for one in harness.answers(address))


async def test_a_status_on_its_way_when_all_is_over_is_cleared_all_the_same(
    harness: OutboundHarness,
) -> None:
    harness.server.fail(STATUS, delay_s=0.3, after=True)
    address = harness.ask()
    reply = harness.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: harness.server.called(STATUS))
    await reply.aclose()
    assert status(harness, address) == ""


async def test_a_status_is_shown_again_before_slack_takes_it_away(harness: OutboundHarness) -> None:
    address = harness.ask()
    indicator = StatusIndicator(harness.sender, harness.target(address), refresh_s=0.02)
    indicator.show("thinking")
    await wait_until(lambda: len(harness.server.called(STATUS)) >= 3)
    indicator.hide()
    await indicator.end()
    assert status(harness, address) == ""


async def test_clearing_a_status_is_tried_again_when_slack_fails(harness: OutboundHarness) -> None:
    address = harness.ask()
    reply = harness.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(harness, address))
    harness.server.fail(STATUS, error="internal_error", times=2)
    await reply.aclose()
    assert status(harness, address) == ""


async def test_without_a_thread_or_the_right_there_is_no_status_and_an_answer(
    harness: OutboundHarness,
) -> None:
    top = harness.ask("D1", in_thread=False)
    harness.server.unknown |= {STATUS}
    for address in (top, harness.ask(), harness.ask()):
        reply = harness.reply(address)
        await reply.set_status("thinking")
        await reply.show("Yes.")
        await wait_until(lambda at=address: harness.seen(at) == "Yes.")
        await reply.finish(turn_of(address, "Yes."))
        await reply.aclose()
    assert len(harness.server.called(STATUS)) == 1  # what a workspace lacks is tried once


# Ends.


async def test_an_answer_carries_feedback_that_leads_to_its_conversation(
    harness: OutboundHarness,
) -> None:
    address = harness.ask()
    reply = harness.reply(address)
    delivery = await reply.finish(turn_of(address, "Yes."))
    (message,) = harness.answers(address)
    assert delivery.message_ids == (message.ts,)
    assert [read_button(one["value"]) for one in message.buttons] == [
        (address.session, "up"),
        (address.session, "down"),
    ]
    assert {one["action_id"] for one in message.buttons} == {FEEDBACK}


async def test_a_failure_keeps_what_was_shown_says_why_and_offers_another_try(
    harness: OutboundHarness,
) -> None:
    address = harness.ask()
    reply = harness.reply(address)
    await reply.show("```python\nx = 1")
    await wait_until(lambda: harness.seen(address))
    error = ModelError("secret detail")
    await reply.fail(turn_of(address, "```python\nx = 1", state="failed"), error)
    await reply.aclose()
    assert harness.seen(address) == f"```python\nx = 1\n```\n\n⚠️ {error.user_text}"
    assert "secret detail" not in harness.seen(address)
    assert actions(harness, address) == {AGAIN}


async def test_a_refused_question_is_not_offered_again(harness: OutboundHarness) -> None:
    address = harness.ask()
    await harness.reply(address).fail(turn_of(address, state="failed"), AccessRefused("No."))
    assert harness.seen(address) == "⚠️ No."
    assert actions(harness, address) == set()


@pytest.mark.parametrize(("state", "words"), [("stopped", STOPPED), ("complete", EMPTY_ANSWER)])
async def test_an_answer_without_words_says_so(
    harness: OutboundHarness, state: str, words: str
) -> None:
    address = harness.ask()
    await harness.reply(address).finish(turn_of(address, " \n", state=state))
    assert harness.seen(address) == words
    assert actions(harness, address) == ({FEEDBACK} if state == "complete" else set())


async def test_offers_are_buttons_that_carry_their_command(harness: OutboundHarness) -> None:
    address = harness.ask()
    reply = harness.reply(address)
    await reply.post_buttons("Shall I?", [CommandButton("Yes", "reset"), CommandButton("No")])
    (message,) = harness.answers(address)
    assert [(one["text"], read_button(one["value"])) for one in message.buttons] == [
        ("Yes", (address.session, "reset")),
        ("No", (address.session, "")),
    ]


# Second tries.


async def test_an_answer_that_is_there_is_not_given_again(harness: OutboundHarness) -> None:
    address, text = harness.ask(), prose(15_000)
    first = await harness.reply(address).finish(turn_of(address, text))
    assert len(first.message_ids) == 2
    other = harness.other_process().reply(address)
    assert await other.find_delivery(turn_of(address, text)) == first
    assert await other.find_delivery(turn_of(address, text, id_="turn-2")) is None


@pytest.mark.parametrize("posted", [1, 2])
async def test_an_answer_that_is_there_in_part_is_completed(
    harness: OutboundHarness, posted: int
) -> None:
    address, text = harness.ask(), prose(25_000)
    harness.server.fail("chat.postMessage", error="internal_error", times=99, skip=posted)
    with pytest.raises(PlatformUnreachable):
        await harness.reply(address).finish(turn_of(address, text))
    harness.server.heal()
    other = harness.other_process().reply(address)
    assert await other.find_delivery(turn_of(address, text)) is None
    await other.finish(turn_of(address, text))
    assert harness.seen(address) == text


@pytest.mark.parametrize("growing", ["stream", "edits"])
async def test_messages_left_by_a_killed_process_become_the_answer_of_the_next(
    harness: OutboundHarness, growing: str
) -> None:
    harness.server.is_agent = growing == "stream"
    address = harness.ask()
    dead = harness.streaming(address)
    dead.add("This was the beginning of")
    await wait_until(lambda: harness.seen(address))
    await dead.end()  # as if killed: nothing is closed
    other = harness.other_process().reply(address, leftovers_after_s=0)
    await other.set_status("thinking")
    await other.show("Another beginning")
    await wait_until(lambda: harness.seen(address) == "Another beginning")
    await other.finish(turn_of(address, "Another beginning, and its end."))
    await other.aclose()
    assert [one.text for one in harness.answers(address)] == ["Another beginning, and its end."]
    assert not harness.answers(address)[0].streaming


async def test_the_answer_to_another_question_is_left_alone(harness: OutboundHarness) -> None:
    first = harness.ask()
    await harness.reply(first).finish(turn_of(first, "One."))
    await harness.reply(first).post("A word of its own.")
    thread = first.session.thread
    second = harness.ask(thread_ts=thread)
    reply = harness.other_process().reply(second, leftovers_after_s=0)
    await reply.show("Two")
    await reply.finish(turn_of(second, "Two.", id_="turn-2"))
    await reply.aclose()
    assert [one.text for one in harness.answers(first)] == ["One.", "A word of its own.", "Two."]


async def test_a_word_of_its_own_is_not_said_twice_when_a_command_runs_again(
    harness: OutboundHarness,
) -> None:
    """Its worker was killed after the word, and before it could say that all was done."""
    address = harness.ask()
    await harness.reply(address).post("Forgotten: 2 turns.")
    again = harness.other_process().reply(address, leftovers_after_s=0)
    await again.post("Forgotten: 2 turns.")
    await again.post("And another word.")
    texts = [one.text for one in harness.answers(address)]
    assert texts == ["Forgotten: 2 turns.", "And another word."]
    other = harness.ask(thread_ts=address.session.thread)
    await harness.reply(other, leftovers_after_s=0).post("Forgotten: 2 turns.")
    assert len(harness.answers(address)) == 3


async def test_an_offer_is_made_again_each_time_it_is_wanted(harness: OutboundHarness) -> None:
    """A question edited twice is offered twice, though it is the same message."""
    address = harness.ask()
    for _ in range(2):
        await harness.reply(address, leftovers_after_s=0).post_buttons(
            "Changed.", [CommandButton("Answer again", "retry")]
        )
    assert len(harness.answers(address)) == 2


async def test_a_word_is_said_though_slack_cannot_be_asked_whether_it_was(
    harness: OutboundHarness,
) -> None:
    address = harness.ask()
    harness.server.fail("conversations.replies", status=429, retry_after=60, times=9)
    await harness.reply(address, leftovers_after_s=0).post("Here.")
    assert harness.seen(address) == "Here."


# Private words.


def ephemeral_address(
    harness: OutboundHarness, address: Address, *, response: bool = True
) -> Address:
    details = {**address.details, "ephemeral_user": "U1"}
    if response:
        details["response_url"] = harness.server.response_url("C1", "U1", details["thread_ts"])
    return replace(address, details=details)


@pytest.mark.parametrize("response", [True, False])
async def test_private_words_are_read_by_their_person_alone(
    harness: OutboundHarness, response: bool
) -> None:
    address = ephemeral_address(harness, harness.ask(), response=response)
    reply = harness.reply(address)
    await reply.set_status("thinking")
    await reply.show("Between")
    await reply.finish(turn_of(address, "Between us."))
    await reply.post("And this.")
    await reply.aclose()
    assert harness.answers(address) == []
    heard = harness.server.ephemerals("C1", "U1")
    assert [one.text for one in heard] == ["Between us.", "And this."]
    assert bool(harness.server.called("chat.postEphemeral")) is not response


async def test_a_response_address_that_is_used_up_is_replaced(harness: OutboundHarness) -> None:
    address = ephemeral_address(harness, harness.ask())
    reply = harness.reply(address)
    for number in range(7):
        await reply.post(f"Word {number}.")
    heard = [one.text for one in harness.server.ephemerals("C1", "U1")]
    assert heard == [f"Word {number}." for number in range(7)]
    assert len(harness.server.called("chat.postEphemeral", ok=True)) == 2


@pytest.mark.parametrize("method", ["response_url", "chat.postEphemeral"])
async def test_private_words_whose_answer_was_lost_are_not_said_twice(
    harness: OutboundHarness, method: str
) -> None:
    address = ephemeral_address(harness, harness.ask(), response=method == "response_url")
    harness.server.fail(method, after=True)
    await harness.reply(address).post("Once.")
    assert [one.text for one in harness.server.ephemerals("C1", "U1")] == ["Once."]


async def test_a_response_address_where_nobody_listens_loses_no_word(
    harness: OutboundHarness,
) -> None:
    address = ephemeral_address(harness, harness.ask())
    ignores_pings = {**address.details, "response_url": "http://127.0.0.1:1/response/x"}
    await harness.reply(replace(address, details=ignores_pings)).post("Heard?")
    assert [one.text for one in harness.server.ephemerals("C1", "U1")] == ["Heard?"]


async def test_a_person_outside_the_channel_is_told_in_direct_messages(
    harness: OutboundHarness,
) -> None:
    address = ephemeral_address(harness, harness.ask("C1"), response=False)
    harness.server.space.channel("C1").members.discard("U1")
    await harness.reply(address).post("You may not do that here.")
    assert [one.text for one in harness.server.answers("D1")] == ["You may not do that here."]


async def test_an_answer_to_app_home_goes_to_direct_messages(harness: OutboundHarness) -> None:
    asked = harness.ask()
    address = replace(asked, details={**asked.details, "home": "1"}, reply_to_id="")
    reply = harness.reply(address)
    await reply.post("Forgotten: 2 turns.")
    await reply.post("This conversation:", file=("conversation.md", b"# Talk"))
    assert harness.answers(asked) == []
    words, file = harness.server.answers("D1")
    assert words.text == "Forgotten: 2 turns."
    assert [one["name"] for one in file.files] == ["conversation.md"]


async def test_a_file_for_one_of_many_goes_to_direct_messages(harness: OutboundHarness) -> None:
    address = ephemeral_address(harness, harness.ask())
    await harness.reply(address).post("This conversation:", file=("talk.md", b"# Talk"))
    assert harness.answers(address) == []
    (file,) = harness.server.answers("D1")
    assert [one["name"] for one in file.files] == ["talk.md"]
    assert [one.text for one in harness.server.ephemerals("C1", "U1")] == [SENT_DIRECTLY]


async def test_a_place_that_is_gone_is_an_error_of_its_own(harness: OutboundHarness) -> None:
    address = harness.ask()
    harness.server.space.channels["C1"].archived = True
    reply = harness.reply(address)
    with pytest.raises(PlaceGone):
        await reply.finish(turn_of(address, "Anybody?"))
    await reply.aclose()
