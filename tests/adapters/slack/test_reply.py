"""Reply: status, delivery, second tries, notices and ephemeral messages."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from adapters.shared.answer_text import NO_WORDS, STOPPED
from adapters.slack.action_ids import FEEDBACK, RETRY, read_button
from adapters.slack.outbound.reply import SENT_DIRECTLY
from adapters.slack.outbound.status import STATUS, StatusIndicator
from bot.conversation import Address
from bot.errors import AccessRefused, ModelBroken, ModelError, PlaceGone, PlatformUnreachable
from bot.ports import CommandButton
from tests.adapters.slack.outbound_harness import (
    OutboundHarness,
    prose,
    turn_of,
)
from tests.support.wait import wait_until


def status(outbound: OutboundHarness, address: Address) -> str:
    return outbound.server.status(address.session.place, address.details["thread_ts"])


def session(outbound: OutboundHarness, address: Address) -> str:
    return outbound.server.session(address.session.place, address.details["thread_ts"])


def actions(outbound: OutboundHarness, address: Address) -> set[str]:
    return {
        button["action_id"] for message in outbound.answers(address) for button in message.buttons
    }


# Status.


async def test_a_status_is_shown_until_the_first_text_and_cleared_in_the_end(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(outbound, address) == "is thinking…")
    assert session(outbound, address) == "processing"
    await reply.finish(turn_of(address, "Yes."))
    await reply.aclose()
    assert (status(outbound, address), session(outbound, address)) == ("", "active")


@pytest.mark.parametrize("how", ["failed", "stopped", "abandoned", "place gone", "cancelled"])
async def test_no_status_stays_and_no_stream_is_open_however_a_reply_ends(
    outbound: OutboundHarness, how: str
) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(outbound, address))
    await reply.show("The beginning")
    await wait_until(lambda: outbound.seen(address))
    if how == "failed":
        await reply.fail(turn_of(address, "The beginning", state="failed"), ModelError("down"))
    elif how == "stopped":
        await reply.finish(turn_of(address, "The beginning", state="stopped"))
    elif how == "place gone":
        outbound.server.fail("chat.stopStream", error="channel_not_found", times=9)
        outbound.server.fail("chat.update", error="channel_not_found", times=9)
        with pytest.raises(PlaceGone):
            await reply.finish(turn_of(address, "The beginning and the end."))
    elif how == "cancelled":
        ending = asyncio.create_task(reply.finish(turn_of(address, "The beginning and more.")))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
    await reply.aclose()
    assert (status(outbound, address), session(outbound, address)) == ("", "active")
    if how != "place gone":
        assert not any(message.streaming for message in outbound.answers(address))


async def test_a_status_in_flight_at_the_end_is_cleared_all_the_same(
    outbound: OutboundHarness,
) -> None:
    outbound.server.fail(STATUS, delay_s=0.3, after=True)
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: outbound.server.called(STATUS))
    await reply.aclose()
    assert status(outbound, address) == ""


async def test_a_status_is_shown_again_before_slack_takes_it_away(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    indicator = StatusIndicator(outbound.sender.api, outbound.target(address), refresh_s=0.02)
    indicator.show("thinking")
    await wait_until(lambda: len(outbound.server.called(STATUS)) >= 3)
    indicator.hide()
    await indicator.end()
    assert status(outbound, address) == ""


async def test_clearing_a_status_is_tried_again_when_slack_fails(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(outbound, address))
    outbound.server.fail(STATUS, error="internal_error", times=2)
    await reply.aclose()
    assert status(outbound, address) == ""


async def test_an_answer_without_a_thread_or_the_right_has_no_status(
    outbound: OutboundHarness,
) -> None:
    top = outbound.ask("D1", in_thread=False)
    outbound.server.unknown |= {STATUS}
    for address in (top, outbound.ask(), outbound.ask()):
        reply = outbound.reply(address)
        await reply.set_status("thinking")
        await reply.show("Yes.")
        await wait_until(lambda at=address: outbound.seen(at) == "Yes.")
        await reply.finish(turn_of(address, "Yes."))
        await reply.aclose()
    assert len(outbound.server.called(STATUS)) == 1  # an unsupported method is tried once


# Delivery.


async def test_an_answer_carries_feedback_that_leads_to_its_conversation(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    delivery = await reply.finish(turn_of(address, "Yes."))
    (message,) = outbound.answers(address)
    assert delivery.message_ids == (message.ts,)
    assert [read_button(button["value"]) for button in message.buttons] == [
        (address.session, "up"),
        (address.session, "down"),
    ]
    assert {button["action_id"] for button in message.buttons} == {FEEDBACK}


async def test_a_failure_keeps_what_was_shown_says_why_and_offers_another_try(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.show("```python\nx = 1")
    await wait_until(lambda: outbound.seen(address))
    error = ModelBroken("secret detail")
    await reply.fail(turn_of(address, "```python\nx = 1", state="failed"), error)
    await reply.aclose()
    assert outbound.seen(address) == f"```python\nx = 1\n```\n\n⚠️ {error.user_text}"
    assert "secret detail" not in outbound.seen(address)
    assert actions(outbound, address) == {RETRY}


async def test_a_refused_question_is_not_offered_again(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    await outbound.reply(address).fail(turn_of(address, state="failed"), AccessRefused("No."))
    assert outbound.seen(address) == "⚠️ No."
    assert actions(outbound, address) == set()


@pytest.mark.parametrize(("state", "words"), [("stopped", STOPPED), ("complete", NO_WORDS)])
async def test_an_empty_answer_is_replaced_by_a_sentence(
    outbound: OutboundHarness, state: str, words: str
) -> None:
    address = outbound.ask()
    await outbound.reply(address).finish(turn_of(address, " \n", state=state))
    assert outbound.seen(address) == words
    assert actions(outbound, address) == ({FEEDBACK} if state == "complete" else set())


async def test_offers_are_buttons_that_carry_their_command(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.post_buttons("Shall I?", [CommandButton("Yes", "reset"), CommandButton("No")])
    (message,) = outbound.answers(address)
    assert [(button["text"], read_button(button["value"])) for button in message.buttons] == [
        ("Yes", (address.session, "reset")),
        ("No", (address.session, "")),
    ]


# Second tries.


async def test_an_answer_that_is_there_is_not_given_again(outbound: OutboundHarness) -> None:
    address, text = outbound.ask(), prose(15_000)
    first = await outbound.reply(address).finish(turn_of(address, text))
    assert len(first.message_ids) == 2
    other = outbound.other_process().reply(address)
    assert await other.find_delivery(turn_of(address, text)) == first
    assert await other.find_delivery(turn_of(address, text, id_="turn-2")) is None


@pytest.mark.parametrize("posted", [1, 2])
async def test_an_answer_that_is_there_in_part_is_completed(
    outbound: OutboundHarness, posted: int
) -> None:
    address, text = outbound.ask(), prose(25_000)
    outbound.server.fail("chat.postMessage", error="internal_error", times=99, skip=posted)
    with pytest.raises(PlatformUnreachable):
        await outbound.reply(address).finish(turn_of(address, text))
    outbound.server.heal()
    other = outbound.other_process().reply(address)
    assert await other.find_delivery(turn_of(address, text)) is None
    await other.finish(turn_of(address, text))
    assert outbound.seen(address) == text


@pytest.mark.parametrize("growing", ["stream", "edits"])
async def test_messages_left_by_a_killed_process_become_the_answer_of_the_next(
    outbound: OutboundHarness, growing: str
) -> None:
    outbound.server.is_agent = growing == "stream"
    address = outbound.ask()
    dead = outbound.streaming(address)
    dead.add("This was the beginning of")
    await wait_until(lambda: outbound.seen(address))
    await dead.end()  # as if killed: nothing is closed
    other = outbound.other_process().reply(address, leftovers_after_s=0)
    await other.set_status("thinking")
    await other.show("Another beginning")
    await wait_until(lambda: outbound.seen(address) == "Another beginning")
    await other.finish(turn_of(address, "Another beginning, and its end."))
    await other.aclose()
    assert [message.text for message in outbound.answers(address)] == [
        "Another beginning, and its end."
    ]
    assert not outbound.answers(address)[0].streaming


async def test_the_answer_to_another_question_is_left_alone(outbound: OutboundHarness) -> None:
    first = outbound.ask()
    await outbound.reply(first).finish(turn_of(first, "One."))
    await outbound.reply(first).post("A word of its own.")
    thread = first.session.thread
    second = outbound.ask(thread_ts=thread)
    reply = outbound.other_process().reply(second, leftovers_after_s=0)
    await reply.show("Two")
    await reply.finish(turn_of(second, "Two.", id_="turn-2"))
    await reply.aclose()
    assert [message.text for message in outbound.answers(first)] == [
        "One.",
        "A word of its own.",
        "Two.",
    ]


async def test_a_notice_is_not_posted_twice_when_a_command_runs_again(
    outbound: OutboundHarness,
) -> None:
    """Its worker was killed after the post, and before it completed the turn."""
    address = outbound.ask()
    await outbound.reply(address).post("Forgotten: 2 turns.")
    again = outbound.other_process().reply(address, leftovers_after_s=0)
    await again.post("Forgotten: 2 turns.")
    await again.post("And another word.")
    texts = [message.text for message in outbound.answers(address)]
    assert texts == ["Forgotten: 2 turns.", "And another word."]
    other = outbound.ask(thread_ts=address.session.thread)
    await outbound.reply(other, leftovers_after_s=0).post("Forgotten: 2 turns.")
    assert len(outbound.answers(address)) == 3


async def test_an_offer_is_made_again_each_time_it_is_wanted(outbound: OutboundHarness) -> None:
    """A question edited twice gets two offers, though it is the same message."""
    address = outbound.ask()
    for _ in range(2):
        await outbound.reply(address, leftovers_after_s=0).post_buttons(
            "Changed.", [CommandButton("Answer again", "retry")]
        )
    assert len(outbound.answers(address)) == 2


async def test_a_notice_is_posted_though_slack_does_not_list_earlier_ones(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    outbound.server.fail("conversations.replies", status=429, retry_after=60, times=9)
    await outbound.reply(address, leftovers_after_s=0).post("Here.")
    assert outbound.seen(address) == "Here."


# Ephemeral messages.


def ephemeral_address(
    outbound: OutboundHarness, address: Address, *, response: bool = True
) -> Address:
    details = {**address.details, "ephemeral_user": "U1"}
    if response:
        details["response_url"] = outbound.server.response_url("C1", "U1", details["thread_ts"])
    return replace(address, details=details)


@pytest.mark.parametrize("response", [True, False])
async def test_ephemeral_messages_are_seen_by_their_person_only(
    outbound: OutboundHarness, response: bool
) -> None:
    address = ephemeral_address(outbound, outbound.ask(), response=response)
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await reply.show("Between")
    await reply.finish(turn_of(address, "Between us."))
    await reply.post("And this.")
    await reply.aclose()
    assert outbound.answers(address) == []
    posted = outbound.server.ephemerals("C1", "U1")
    assert [message.text for message in posted] == ["Between us.", "And this."]
    assert bool(outbound.server.called("chat.postEphemeral")) is not response


async def test_an_expired_response_url_is_replaced_by_ephemeral_messages(
    outbound: OutboundHarness,
) -> None:
    address = ephemeral_address(outbound, outbound.ask())
    reply = outbound.reply(address)
    for number in range(7):
        await reply.post(f"Word {number}.")
    posted = [message.text for message in outbound.server.ephemerals("C1", "U1")]
    assert posted == [f"Word {number}." for number in range(7)]
    assert len(outbound.server.called("chat.postEphemeral", ok=True)) == 2


@pytest.mark.parametrize("method", ["response_url", "chat.postEphemeral"])
async def test_ephemeral_messages_whose_response_was_lost_are_not_posted_twice(
    outbound: OutboundHarness, method: str
) -> None:
    address = ephemeral_address(outbound, outbound.ask(), response=method == "response_url")
    outbound.server.fail(method, after=True)
    await outbound.reply(address).post("Once.")
    assert [message.text for message in outbound.server.ephemerals("C1", "U1")] == ["Once."]


async def test_an_unreachable_response_url_is_replaced_by_an_ephemeral_message(
    outbound: OutboundHarness,
) -> None:
    address = ephemeral_address(outbound, outbound.ask())
    unreachable = {**address.details, "response_url": "http://127.0.0.1:1/response/x"}
    await outbound.reply(replace(address, details=unreachable)).post("Heard?")
    assert [message.text for message in outbound.server.ephemerals("C1", "U1")] == ["Heard?"]


async def test_a_person_outside_the_channel_is_told_in_direct_messages(
    outbound: OutboundHarness,
) -> None:
    address = ephemeral_address(outbound, outbound.ask("C1"), response=False)
    outbound.server.space.channel("C1").members.discard("U1")
    await outbound.reply(address).post("You may not do that here.")
    assert [message.text for message in outbound.server.answers("D1")] == [
        "You may not do that here."
    ]


async def test_an_answer_to_app_home_goes_to_direct_messages(outbound: OutboundHarness) -> None:
    asked = outbound.ask()
    address = replace(asked, details={**asked.details, "home": "1"}, reply_to_id="")
    reply = outbound.reply(address)
    await reply.post("Forgotten: 2 turns.")
    await reply.post("This conversation:", file=("conversation.md", b"# Talk"))
    assert outbound.answers(asked) == []
    words, file = outbound.server.answers("D1")
    assert words.text == "Forgotten: 2 turns."
    assert [upload["name"] for upload in file.files] == ["conversation.md"]


async def test_a_file_for_one_of_many_goes_to_direct_messages(outbound: OutboundHarness) -> None:
    address = ephemeral_address(outbound, outbound.ask())
    await outbound.reply(address).post("This conversation:", file=("talk.md", b"# Talk"))
    assert outbound.answers(address) == []
    (file,) = outbound.server.answers("D1")
    assert [upload["name"] for upload in file.files] == ["talk.md"]
    assert [message.text for message in outbound.server.ephemerals("C1", "U1")] == [SENT_DIRECTLY]


async def test_a_place_that_is_gone_is_an_error_of_its_own(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    outbound.server.space.channels["C1"].archived = True
    reply = outbound.reply(address)
    with pytest.raises(PlaceGone):
        await reply.finish(turn_of(address, "Anybody?"))
    await reply.aclose()
