"""How an answer begins and ends: its signs come and go, a second try goes on from the first, private words stay private."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.slack.action_ids import AGAIN, FEEDBACK, read_button
from adapters.slack.outbound.reply import NO_WORDS, SENT_DIRECTLY, STOPPED
from adapters.slack.outbound.status import STATUS, Sign
from bot.conversation import Address
from bot.errors import AccessRefused, ModelError, PlaceGone, PlatformUnreachable
from bot.ports import CommandButton
from tests.adapters.slack.outbound_harness import Mouth, prose, slack_mouth, turn_of
from tests.support.wait import wait_until


@pytest.fixture
async def mouth() -> AsyncIterator[Mouth]:
    async with slack_mouth() as found:
        yield found


def status(mouth: Mouth, address: Address) -> str:
    return mouth.server.status(address.session.place, address.details["thread_ts"])


def session(mouth: Mouth, address: Address) -> str:
    return mouth.server.session(address.session.place, address.details["thread_ts"])


def actions(mouth: Mouth, address: Address) -> set[str]:
    return {button["action_id"] for one in mouth.answers(address) for button in one.buttons}


# Signs.


async def test_a_status_is_shown_until_the_first_words_and_cleared_in_the_end(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(mouth, address) == "is thinking…")
    assert session(mouth, address) == "processing"
    await reply.finish(turn_of(address, "Yes."))
    await reply.aclose()
    assert (status(mouth, address), session(mouth, address)) == ("", "active")


@pytest.mark.parametrize("how", ["failed", "stopped", "abandoned", "place gone", "cancelled"])
async def test_however_it_ends_no_status_stays_and_no_stream_is_open(
    mouth: Mouth, how: str
) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(mouth, address))
    await reply.show("The beginning")
    await wait_until(lambda: mouth.seen(address))
    if how == "failed":
        await reply.fail(turn_of(address, "The beginning", state="failed"), ModelError("down"))
    elif how == "stopped":
        await reply.finish(turn_of(address, "The beginning", state="stopped"))
    elif how == "place gone":
        mouth.server.fail("chat.stopStream", error="channel_not_found", times=9)
        mouth.server.fail("chat.update", error="channel_not_found", times=9)
        with pytest.raises(PlaceGone):
            await reply.finish(turn_of(address, "The beginning and the end."))
    elif how == "cancelled":
        ending = asyncio.create_task(reply.finish(turn_of(address, "The beginning and more.")))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
    await reply.aclose()
    assert (status(mouth, address), session(mouth, address)) == ("", "active")
    if how != "place gone":
        assert not any(one.streaming for one in mouth.answers(address))


async def test_a_status_on_its_way_when_all_is_over_is_cleared_all_the_same(mouth: Mouth) -> None:
    mouth.server.fail(STATUS, delay_s=0.3, after=True)
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: mouth.server.called(STATUS))
    await reply.aclose()
    assert status(mouth, address) == ""


async def test_a_status_is_shown_again_before_slack_takes_it_away(mouth: Mouth) -> None:
    address = mouth.ask()
    sign = Sign(mouth.outbound, mouth.spot(address), again_s=0.02)
    sign.say("thinking")
    await wait_until(lambda: len(mouth.server.called(STATUS)) >= 3)
    sign.quiet()
    await sign.end()
    assert status(mouth, address) == ""


async def test_clearing_a_status_is_tried_again_when_slack_fails(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.set_status("thinking")
    await wait_until(lambda: status(mouth, address))
    mouth.server.fail(STATUS, error="internal_error", times=2)
    await reply.aclose()
    assert status(mouth, address) == ""


async def test_without_a_thread_or_the_right_there_is_no_status_and_an_answer(mouth: Mouth) -> None:
    top = mouth.ask("D1", in_thread=False)
    mouth.server.unknown |= {STATUS}
    for address in (top, mouth.ask(), mouth.ask()):
        reply = mouth.reply(address)
        await reply.set_status("thinking")
        await reply.show("Yes.")
        await wait_until(lambda at=address: mouth.seen(at) == "Yes.")
        await reply.finish(turn_of(address, "Yes."))
        await reply.aclose()
    assert len(mouth.server.called(STATUS)) == 1  # what a workspace lacks is tried once


# Ends.


async def test_an_answer_carries_feedback_that_leads_to_its_conversation(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    delivery = await reply.finish(turn_of(address, "Yes."))
    (message,) = mouth.answers(address)
    assert delivery.message_ids == (message.ts,)
    assert [read_button(one["value"]) for one in message.buttons] == [
        (address.session, "up"),
        (address.session, "down"),
    ]
    assert {one["action_id"] for one in message.buttons} == {FEEDBACK}


async def test_a_failure_keeps_what_was_shown_says_why_and_offers_another_try(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.show("```python\nx = 1")
    await wait_until(lambda: mouth.seen(address))
    error = ModelError("secret detail")
    await reply.fail(turn_of(address, "```python\nx = 1", state="failed"), error)
    await reply.aclose()
    assert mouth.seen(address) == f"```python\nx = 1\n```\n\n⚠️ {error.user_text}"
    assert "secret detail" not in mouth.seen(address)
    assert actions(mouth, address) == {AGAIN}


async def test_what_is_refused_is_not_offered_again(mouth: Mouth) -> None:
    address = mouth.ask()
    await mouth.reply(address).fail(turn_of(address, state="failed"), AccessRefused("No."))
    assert mouth.seen(address) == "⚠️ No."
    assert actions(mouth, address) == set()


@pytest.mark.parametrize(("state", "words"), [("stopped", STOPPED), ("complete", NO_WORDS)])
async def test_an_answer_without_words_says_so(mouth: Mouth, state: str, words: str) -> None:
    address = mouth.ask()
    await mouth.reply(address).finish(turn_of(address, " \n", state=state))
    assert mouth.seen(address) == words
    assert actions(mouth, address) == ({FEEDBACK} if state == "complete" else set())


async def test_offers_are_buttons_that_carry_their_command(mouth: Mouth) -> None:
    address = mouth.ask()
    reply = mouth.reply(address)
    await reply.post_buttons("Shall I?", [CommandButton("Yes", "reset"), CommandButton("No")])
    (message,) = mouth.answers(address)
    assert [(one["text"], read_button(one["value"])) for one in message.buttons] == [
        ("Yes", (address.session, "reset")),
        ("No", (address.session, "")),
    ]


# Second tries.


async def test_an_answer_that_is_there_is_not_given_again(mouth: Mouth) -> None:
    address, text = mouth.ask(), prose(15_000)
    first = await mouth.reply(address).finish(turn_of(address, text))
    assert len(first.message_ids) == 2
    other = mouth.other_process().reply(address)
    assert await other.find_delivery(turn_of(address, text)) == first
    assert await other.find_delivery(turn_of(address, text, id_="turn-2")) is None


@pytest.mark.parametrize("posted", [1, 2])
async def test_an_answer_that_is_there_in_part_is_completed(mouth: Mouth, posted: int) -> None:
    address, text = mouth.ask(), prose(25_000)
    mouth.server.fail("chat.postMessage", error="internal_error", times=99, skip=posted)
    with pytest.raises(PlatformUnreachable):
        await mouth.reply(address).finish(turn_of(address, text))
    mouth.server.heal()
    other = mouth.other_process().reply(address)
    assert await other.find_delivery(turn_of(address, text)) is None
    await other.finish(turn_of(address, text))
    assert mouth.seen(address) == text


@pytest.mark.parametrize("growing", ["stream", "edits"])
async def test_what_a_killed_process_left_becomes_the_answer_of_the_next(
    mouth: Mouth, growing: str
) -> None:
    mouth.server.is_agent = growing == "stream"
    address = mouth.ask()
    dead = mouth.growing(address)
    dead.add("This was the beginning of")
    await wait_until(lambda: mouth.seen(address))
    await dead.end()  # as if killed: nothing is closed
    other = mouth.other_process().reply(address, late_s=0)
    await other.set_status("thinking")
    await other.show("Another beginning")
    await wait_until(lambda: mouth.seen(address) == "Another beginning")
    await other.finish(turn_of(address, "Another beginning, and its end."))
    await other.aclose()
    assert [one.text for one in mouth.answers(address)] == ["Another beginning, and its end."]
    assert not mouth.answers(address)[0].streaming


async def test_the_answer_to_another_question_is_left_alone(mouth: Mouth) -> None:
    first = mouth.ask()
    await mouth.reply(first).finish(turn_of(first, "One."))
    await mouth.reply(first).post("A word of its own.")
    thread = first.session.thread
    second = mouth.ask(thread_ts=thread)
    reply = mouth.other_process().reply(second, late_s=0)
    await reply.show("Two")
    await reply.finish(turn_of(second, "Two.", id_="turn-2"))
    await reply.aclose()
    assert [one.text for one in mouth.answers(first)] == ["One.", "A word of its own.", "Two."]


async def test_a_word_of_its_own_is_not_said_twice_when_a_command_runs_again(mouth: Mouth) -> None:
    """Its worker was killed after the word, and before it could say that all was done."""
    address = mouth.ask()
    await mouth.reply(address).post("Forgotten: 2 turns.")
    again = mouth.other_process().reply(address, late_s=0)
    await again.post("Forgotten: 2 turns.")
    await again.post("And another word.")
    texts = [one.text for one in mouth.answers(address)]
    assert texts == ["Forgotten: 2 turns.", "And another word."]
    other = mouth.ask(thread_ts=address.session.thread)
    await mouth.reply(other, late_s=0).post("Forgotten: 2 turns.")
    assert len(mouth.answers(address)) == 3


async def test_an_offer_is_made_again_each_time_it_is_wanted(mouth: Mouth) -> None:
    """A question edited twice is offered twice, though it is the same message."""
    address = mouth.ask()
    for _ in range(2):
        await mouth.reply(address, late_s=0).post_buttons(
            "Changed.", [CommandButton("Answer again", "retry")]
        )
    assert len(mouth.answers(address)) == 2


async def test_a_word_is_said_though_slack_cannot_be_asked_whether_it_was(mouth: Mouth) -> None:
    address = mouth.ask()
    mouth.server.fail("conversations.replies", status=429, retry_after=60, times=9)
    await mouth.reply(address, late_s=0).post("Here.")
    assert mouth.seen(address) == "Here."


# Private words.


def privately(mouth: Mouth, address: Address, *, response: bool = True) -> Address:
    details = {**address.details, "ephemeral_user": "U1"}
    if response:
        details["response_url"] = mouth.server.response_url("C1", "U1", details["thread_ts"])
    return replace(address, details=details)


@pytest.mark.parametrize("response", [True, False])
async def test_private_words_are_read_by_their_person_alone(mouth: Mouth, response: bool) -> None:
    address = privately(mouth, mouth.ask(), response=response)
    reply = mouth.reply(address)
    await reply.set_status("thinking")
    await reply.show("Between")
    await reply.finish(turn_of(address, "Between us."))
    await reply.post("And this.")
    await reply.aclose()
    assert mouth.answers(address) == []
    heard = mouth.server.ephemerals("C1", "U1")
    assert [one.text for one in heard] == ["Between us.", "And this."]
    assert bool(mouth.server.called("chat.postEphemeral")) is not response


async def test_a_response_address_that_is_used_up_is_replaced(mouth: Mouth) -> None:
    address = privately(mouth, mouth.ask())
    reply = mouth.reply(address)
    for number in range(7):
        await reply.post(f"Word {number}.")
    heard = [one.text for one in mouth.server.ephemerals("C1", "U1")]
    assert heard == [f"Word {number}." for number in range(7)]
    assert len(mouth.server.called("chat.postEphemeral", ok=True)) == 2


@pytest.mark.parametrize("method", ["response_url", "chat.postEphemeral"])
async def test_private_words_whose_answer_was_lost_are_not_said_twice(
    mouth: Mouth, method: str
) -> None:
    address = privately(mouth, mouth.ask(), response=method == "response_url")
    mouth.server.fail(method, after=True)
    await mouth.reply(address).post("Once.")
    assert [one.text for one in mouth.server.ephemerals("C1", "U1")] == ["Once."]


async def test_a_response_address_where_nobody_listens_loses_no_word(mouth: Mouth) -> None:
    address = privately(mouth, mouth.ask())
    deaf = {**address.details, "response_url": "http://127.0.0.1:1/response/x"}
    await mouth.reply(replace(address, details=deaf)).post("Heard?")
    assert [one.text for one in mouth.server.ephemerals("C1", "U1")] == ["Heard?"]


async def test_who_is_not_in_the_channel_is_told_in_direct_messages(mouth: Mouth) -> None:
    address = privately(mouth, mouth.ask("C1"), response=False)
    mouth.server.space.channel("C1").members.discard("U1")
    await mouth.reply(address).post("You may not do that here.")
    assert [one.text for one in mouth.server.answers("D1")] == ["You may not do that here."]


async def test_an_answer_to_app_home_goes_to_direct_messages(mouth: Mouth) -> None:
    asked = mouth.ask()
    address = replace(asked, details={**asked.details, "home": "1"}, reply_to_id="")
    reply = mouth.reply(address)
    await reply.post("Forgotten: 2 turns.")
    await reply.post("This conversation:", file=("conversation.md", b"# Talk"))
    assert mouth.answers(asked) == []
    words, file = mouth.server.answers("D1")
    assert words.text == "Forgotten: 2 turns."
    assert [one["name"] for one in file.files] == ["conversation.md"]


async def test_a_file_for_one_of_many_goes_to_direct_messages(mouth: Mouth) -> None:
    address = privately(mouth, mouth.ask())
    await mouth.reply(address).post("This conversation:", file=("talk.md", b"# Talk"))
    assert mouth.answers(address) == []
    (file,) = mouth.server.answers("D1")
    assert [one["name"] for one in file.files] == ["talk.md"]
    assert [one.text for one in mouth.server.ephemerals("C1", "U1")] == [SENT_DIRECTLY]


async def test_a_place_that_is_gone_is_an_error_of_its_own(mouth: Mouth) -> None:
    address = mouth.ask()
    mouth.server.space.channels["C1"].archived = True
    reply = mouth.reply(address)
    with pytest.raises(PlaceGone):
        await reply.finish(turn_of(address, "Anybody?"))
    await reply.aclose()
