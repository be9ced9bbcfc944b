"""Deleted threads: an answer whose question is gone is shown to nobody."""

from __future__ import annotations

import pytest

from adapters.slack.api.errors import ThreadGone
from adapters.slack.outbound.message_metadata import MessageMetadata
from bot.conversation import Address
from bot.errors import PlatformError
from bot.ports import CommandButton
from tests.adapters.slack.outbound_harness import OutboundHarness, prose, turn_of
from tests.support.wait import wait_until


def delete_question(outbound: OutboundHarness, address: Address) -> None:
    message = outbound.server.space.channel("C1").find(address.reply_to_id)
    assert message is not None
    message.deleted = True


@pytest.mark.parametrize("ending", ["finish", "post", "post_buttons", "file"])
async def test_nothing_stays_in_the_channel_where_the_thread_was_deleted(
    outbound: OutboundHarness, ending: str
) -> None:
    """S2: chat.postMessage with a dead `thread_ts` posts into the channel, and says so in its response."""
    address = outbound.ask()
    delete_question(outbound, address)
    reply = outbound.reply(address)
    calls = {
        "finish": lambda: reply.finish(turn_of(address, prose(15_000))),
        "post": lambda: reply.post("Forgotten: 2 turns."),
        "post_buttons": lambda: reply.post_buttons("Shall I?", [CommandButton("Yes", "reset")]),
        "file": lambda: reply.post("Here:", file=("talk.md", b"# Talk")),
    }
    with pytest.raises(ThreadGone):
        await calls[ending]()
    await reply.aclose()
    assert outbound.server.messages("C1") == []
    assert outbound.server.answers("D1") == []
    assert outbound.server.ephemerals("C1") == []


@pytest.mark.parametrize("is_agent", [True, False])
async def test_a_growing_answer_stops_where_the_thread_was_deleted(
    outbound: OutboundHarness, is_agent: bool
) -> None:
    """S2: once a stream or a message was refused, nothing is posted, not even to be removed."""
    outbound.server.is_agent = is_agent
    address = outbound.ask()
    delete_question(outbound, address)
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await reply.show("Your secret is")
    method = "chat.startStream" if is_agent else "chat.delete"
    await wait_until(lambda: outbound.server.called(method))
    with pytest.raises(ThreadGone):
        await reply.finish(turn_of(address, "Your secret is safe."))
    await reply.aclose()
    assert outbound.server.messages("C1") == []
    assert len(outbound.server.called("chat.postMessage")) == (0 if is_agent else 1)


async def test_a_thread_deleted_while_its_answer_is_shown_leaves_the_answer_where_it_is(
    outbound: OutboundHarness,
) -> None:
    """S2: Slack keeps a thread that has replies; its root is a tombstone."""
    address = outbound.ask()
    reply = outbound.reply(address)
    await reply.show("Well")
    await wait_until(lambda: outbound.seen(address))
    delete_question(outbound, address)
    await reply.finish(turn_of(address, prose(15_000)))
    await reply.aclose()
    assert outbound.seen(address) == prose(15_000)
    assert outbound.server.messages("C1", address.session.thread) == outbound.server.messages("C1")


async def test_a_lost_post_into_a_deleted_thread_is_looked_for_in_the_channel(
    outbound: OutboundHarness,
) -> None:
    """S2: its response would have said that it landed there."""
    address = outbound.ask()
    delete_question(outbound, address)
    outbound.server.fail("chat.postMessage", after=True)
    with pytest.raises(ThreadGone):
        await outbound.sender.post(outbound.target(address), "Hello.", MessageMetadata())
    assert outbound.server.messages("C1") == []


async def test_an_answer_delivered_again_into_a_deleted_thread_is_not_posted(
    outbound: OutboundHarness,
) -> None:
    """S2: a worker took the turn over; Slack has no such thread."""
    address = outbound.ask()
    delete_question(outbound, address)
    reply = outbound.reply(address, leftovers_after_s=0)
    assert await reply.find_delivery(turn_of(address, "Yes.")) is None
    with pytest.raises(ThreadGone):
        await reply.finish(turn_of(address, "Yes."))
    assert not outbound.server.called("chat.postMessage")


async def test_a_message_that_cannot_be_removed_from_the_channel_is_an_error_of_the_log(
    outbound: OutboundHarness,
) -> None:
    """S2: the turn is over all the same."""
    address = outbound.ask()
    delete_question(outbound, address)
    outbound.server.fail("chat.delete", error="cant_delete_message")
    with pytest.raises(ThreadGone):
        await outbound.reply(address).finish(turn_of(address, "Yes."))


async def test_a_file_goes_to_its_thread_though_the_thread_cannot_be_checked(
    outbound: OutboundHarness,
) -> None:
    """S2: the check is a courtesy; the right to read may be missing."""
    address = outbound.ask()
    outbound.server.fail("conversations.replies", error="missing_scope", times=9)
    await outbound.reply(address).post("Here:", file=("talk.md", b"# Talk"))
    assert outbound.seen(address) == "Here:"


async def test_a_thread_that_is_gone_is_no_other_refusal(outbound: OutboundHarness) -> None:
    """S2: the channel is there, so its person could be told; about a deleted question nobody is."""
    address = outbound.ask()
    for code in ("invalid_thread_ts", "thread_not_found"):
        outbound.server.fail("chat.postMessage", error=code)
        with pytest.raises(PlatformError) as raised:
            await outbound.reply(address).finish(turn_of(address, "Yes."))
        assert isinstance(raised.value, ThreadGone)
    assert outbound.server.answers("D1") == []
