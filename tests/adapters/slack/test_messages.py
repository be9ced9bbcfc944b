"""Message sender: no message is posted twice; blocks that Slack refuses become simpler ones."""

from __future__ import annotations

import time

import pytest

from adapters.slack.api import errors
from adapters.slack.outbound.blocks import feedback_buttons
from adapters.slack.outbound.message_metadata import BotIdentity, MessageMetadata
from adapters.slack.outbound.target import Target
from bot.conversation import SessionKey
from bot.errors import (
    PlatformError,
)
from tests.adapters.slack.outbound_harness import OutboundHarness, open_outbound_harness


@pytest.mark.parametrize("thread", [True, False])
async def test_a_post_whose_answer_was_lost_is_found_and_not_made_again(
    outbound: OutboundHarness, thread: bool
) -> None:
    place = outbound.asked_target("D1", thread=thread)
    outbound.server.fail("chat.postMessage", after=True)
    ts = await outbound.sender.post(place, "Hello.", MessageMetadata(reply_to=place.answered_ts))
    assert [(message.ts, message.text) for message in outbound.server.answers("D1")] == [
        (ts, "Hello.")
    ]
    assert len(outbound.server.called("chat.postMessage")) == 1


async def test_own_messages_are_known_by_either_id_and_joining_is_none_of_them(
    outbound: OutboundHarness,
) -> None:
    place = outbound.asked_target()
    ts = await outbound.sender.post(place, "Hello.", MessageMetadata())
    outbound.server.answers("C1")[0].bot_id = ""
    assert [message.ts for message in await outbound.sender.find_own_messages(place)] == [ts]
    us = BotIdentity("B1", "UBOT")
    assert us.sent({"user": "UBOT", "bot_id": "B1"})
    assert not us.sent({"user": "UBOT", "subtype": "channel_join"})
    assert not us.sent({"user": "U1"})
    assert not us.sent({"bot_id": "B2", "user": "UBOT"})
    assert not BotIdentity("", "").sent({"text": "of nobody"})


async def test_a_post_that_was_lost_before_slack_had_it_is_made_again(
    outbound: OutboundHarness,
) -> None:
    place = outbound.asked_target()
    outbound.server.fail("chat.postMessage", cut=True, times=2)
    await outbound.sender.post(place, "Hello.", MessageMetadata())
    assert [message.text for message in outbound.server.answers("C1")] == ["Hello."]
    assert len(outbound.server.called("chat.postMessage")) == 3


@pytest.mark.parametrize("code", errors.UNCERTAIN_CODES)
async def test_a_post_that_failed_halfway_is_looked_for_in_slack(
    outbound: OutboundHarness, code: str
) -> None:
    outbound.server.fail("chat.postMessage", error=code)
    await outbound.sender.post(outbound.asked_target(), "Hello.", MessageMetadata())
    assert [message.text for message in outbound.server.answers("C1")] == ["Hello."]
    assert outbound.server.called("conversations.replies", ok=True)


async def test_a_lost_post_is_not_repeated_where_slack_cannot_be_asked(
    outbound: OutboundHarness,
) -> None:
    outbound.server.fail("chat.postMessage", after=True)
    outbound.server.fail("conversations.replies", error="missing_scope", times=9)
    with pytest.raises(PlatformError):
        await outbound.sender.post(outbound.asked_target(), "Hello.", MessageMetadata())
    assert len(outbound.server.answers("C1")) == 1


async def test_an_equal_earlier_message_is_not_taken_for_the_lost_one(
    outbound: OutboundHarness,
) -> None:
    place = outbound.asked_target()
    await outbound.sender.post(place, "Yes.", MessageMetadata(reply_to=place.answered_ts))
    outbound.server.fail("chat.postMessage", cut=True)
    await outbound.sender.post(place, "Yes.", MessageMetadata(reply_to=place.answered_ts))
    assert [message.text for message in outbound.server.answers("C1")] == ["Yes.", "Yes."]


async def test_a_lost_post_is_found_in_a_busy_thread_and_under_the_strictest_limits() -> None:
    async with open_outbound_harness(distributed=True) as outbound:
        place = outbound.asked_target()
        for number in range(5):
            outbound.server.say("C1", "U2", f"and {number}", place.thread_ts)
        outbound.server.fail("chat.postMessage", after=True)
        await outbound.sender.post(place, "Hello.", MessageMetadata())
        assert len(outbound.server.answers("C1")) == 1


async def test_a_slow_answer_is_a_lost_answer() -> None:
    async with open_outbound_harness(timeout_s=3) as outbound:
        outbound.server.fail("chat.postMessage", delay_s=60, after=True)
        await outbound.sender.post(outbound.asked_target(), "Hello.", MessageMetadata())
        assert [message.text for message in outbound.server.answers("C1")] == ["Hello."]
        assert len(outbound.server.called("chat.postMessage")) == 1


async def test_an_edit_whose_answer_was_lost_is_made_again(outbound: OutboundHarness) -> None:
    place = outbound.asked_target()
    ts = await outbound.sender.post(place, "One", MessageMetadata())
    outbound.server.fail("chat.update", after=True)
    assert await outbound.sender.update(place, ts, "Two", MessageMetadata())
    assert [message.text for message in outbound.server.answers("C1")] == ["Two"]


async def test_an_edit_of_a_message_that_is_gone_says_so(outbound: OutboundHarness) -> None:
    place = outbound.asked_target()
    ts = await outbound.sender.post(place, "One", MessageMetadata())
    await outbound.sender.delete(place, ts)
    assert not await outbound.sender.update(place, ts, "Two", MessageMetadata())
    await outbound.sender.delete(place, ts)


@pytest.mark.parametrize("code", ["edit_window_closed", "cant_update_message"])
async def test_a_message_that_cannot_be_edited_is_deleted_before_it_is_posted_anew(
    outbound: OutboundHarness, code: str
) -> None:
    place = outbound.asked_target()
    ts = await outbound.sender.post(place, "One", MessageMetadata())
    outbound.server.fail("chat.update", error=code)
    assert not await outbound.sender.update(place, ts, "Two", MessageMetadata())
    assert outbound.server.answers("C1") == []
    ts = await outbound.sender.post(place, "One", MessageMetadata())
    outbound.server.fail("chat.update", error=code)
    outbound.server.fail("chat.delete", error="cant_delete_message")
    assert not await outbound.sender.update(place, ts, "Two", MessageMetadata())


async def test_links_are_not_unfurled_and_a_plain_text_comes_with_the_blocks(
    outbound: OutboundHarness,
) -> None:
    await outbound.sender.post(
        outbound.asked_target(), "See https://example.com <!channel>", MessageMetadata()
    )
    (message,) = outbound.server.answers("C1")
    assert not message.unfurls
    assert message.fallback == "See https://example.com &lt;!channel&gt;"


async def test_text_is_posted_in_sections_where_slack_refuses_markdown_blocks(
    outbound: OutboundHarness,
) -> None:
    text = "A <line> & more.\n" * 500
    outbound.server.fail("chat.postMessage", error="invalid_blocks")
    ts = await outbound.sender.post(outbound.asked_target(), text, MessageMetadata())
    assert outbound.server.answers("C1")[0].text == text
    outbound.server.fail("chat.update", error="invalid_blocks")
    assert await outbound.sender.update(
        outbound.asked_target(), ts, text[:5_000], MessageMetadata()
    )
    assert outbound.server.answers("C1")[0].text == text[:5_000]


async def test_text_is_posted_without_buttons_where_slack_refuses_them(
    outbound: OutboundHarness,
) -> None:
    buttons = feedback_buttons(outbound.ask().session)
    outbound.server.fail("chat.postMessage", error="invalid_blocks", times=2)
    ts = await outbound.sender.post(outbound.asked_target(), "Hello.", MessageMetadata(), buttons)
    outbound.server.fail("chat.update", error="invalid_blocks", times=3)
    assert await outbound.sender.update(
        outbound.asked_target(), ts, "Hello again.", MessageMetadata(), buttons
    )
    (message,) = outbound.server.answers("C1")
    assert (message.edits, message.text) == (["Hello."], "Hello again.")


def test_metadata_is_read_back_as_it_was_written() -> None:
    metadata = MessageMetadata("turn-1", 2, 3, "1700000000.000100", ("1.1", "1.2"))
    assert MessageMetadata.of_message({"metadata": metadata.as_argument()}) == metadata
    assert (
        metadata.as_argument()["event_payload"]["id"]
        != MessageMetadata().as_argument()["event_payload"]["id"]
    )
    for strange in (
        {},
        {"event_type": "other", "event_payload": {}},
        {"event_type": "keepthread_answer", "event_payload": {"part": "x"}},
    ):
        assert MessageMetadata.of_message({"metadata": strange}) is None


def test_an_answer_to_nothing_in_particular_is_looked_for_in_the_last_minutes() -> None:
    place = Target(SessionKey("slack", "T1", "C1"), "C1")
    assert 0 < time.time() - float(place.oldest_ts) < 600
    assert place.age_s == 0
