"""Refusals: whatever Slack refuses, the person gets the whole answer or a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.slack.action_ids import STOP
from adapters.slack.api.errors import CONTENT_REFUSED
from adapters.slack.outbound.answer.last_resort import (
    AS_FILE,
    FILE_NAME,
    NOT_POSTED,
    NOT_SHOWN,
)
from adapters.slack.outbound.reply import FILE_REFUSED
from bot.conversation import Address
from bot.errors import ModelError, PlaceGone, PlatformError
from bot.ports import CommandButton
from tests.adapters.slack.outbound_harness import (
    OutboundHarness,
    open_outbound_harness,
    prose,
    turn_of,
)
from tests.support.wait import wait_until

LONG_AS_BYTES = {
    "Russian": "Да, это именно так. " * 143,
    "Japanese": "はい、そのとおりです。" * 186,
    "XML in a fence": "```xml\n" + '<item a="1&2"/>\n' * 160 + "```",
    "emoji": "✅ done " * 300,
    "flags": "🇩🇪" * 1_000,
    "ampersands": "R&D " * 900,
    "one long symbol": "👩‍👩‍👧‍👦" * 400,
}

CODES = (
    "cannot_reply_to_message_of_this_kind",
    "ekm_message_refused",
    "external_channel_migrating",
    "invalid_arguments",
    "invalid_attachments",
    "invalid_blocks",
    "invalid_metadata_format",
    "metadata_too_large",
    "msg_blocks_too_long",
    "msg_too_long",
    "slack_connect_blocked_file_type",
    "something_new",
    "too_many_attachments",
)
"""Documented or not: no list of them is complete."""

Refuse = Callable[[str, dict[str, Any]], str]


def refusing(code: str, *methods: str) -> Refuse:
    return lambda method, args: code if method in methods else ""


async def show_beginning(outbound: OutboundHarness, address: Address, text: str) -> Any:
    """A reply whose beginning is shown."""
    reply = outbound.reply(address)
    await reply.set_status("thinking")
    await reply.show(text[: max(10, len(text) // 3)])
    await wait_until(lambda: outbound.answers(address))
    return reply


def has_stop_button(outbound: OutboundHarness, address: Address) -> bool:
    return any(
        button["action_id"] == STOP
        for message in outbound.answers(address)
        for button in message.buttons
    )


@pytest.mark.parametrize("text", LONG_AS_BYTES.values(), ids=LONG_AS_BYTES.keys())
@pytest.mark.parametrize("in_thread", [False, True])
async def test_an_answer_longer_in_bytes_than_in_characters_is_shown_whole(
    text: str, in_thread: bool
) -> None:
    """S1: the text for notifications is cut, not the answer; no edit is refused."""
    async with open_outbound_harness(is_agent=False) as outbound:
        address = outbound.ask("D1", in_thread=in_thread)
        reply = await show_beginning(outbound, address, text)
        await reply.finish(turn_of(address, text))
        await reply.aclose()
        assert outbound.seen(address) == text
        assert not has_stop_button(outbound, address)
        assert not [call for call in outbound.server.called("chat.update") if call.error]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("channel", ["C1", "D1"])
async def test_the_whole_answer_is_shown_though_its_last_edit_is_refused(
    code: str, channel: str
) -> None:
    """S1: in a new message, if no form of the edit is taken; the refused one is removed."""
    async with open_outbound_harness(is_agent=False) as outbound:
        address, text = outbound.ask(channel, in_thread=channel == "C1"), prose(3_000)
        reply = await show_beginning(outbound, address, text)
        outbound.server.refuse = refusing(code, "chat.update")
        delivery = await reply.finish(turn_of(address, text))
        await reply.aclose()
        assert [message.text for message in outbound.answers(address)] == [text]
        assert delivery.message_ids == (outbound.answers(address)[0].ts,)
        assert not has_stop_button(outbound, address)
        assert len(outbound.server.called("chat.update")) < 12


async def test_a_message_that_can_be_neither_edited_nor_deleted_stands_beside_its_successor() -> (
    None
):
    """S1: a doubled beginning is better than an answer lost."""
    async with open_outbound_harness(is_agent=False) as outbound:
        address, text = outbound.ask("D1", in_thread=False), prose(3_000)
        reply = await show_beginning(outbound, address, text)
        outbound.server.refuse = refusing("something_new", "chat.update", "chat.delete")
        await reply.finish(turn_of(address, text))
        await reply.aclose()
        assert outbound.answers(address)[-1].text == text


async def test_the_parts_of_an_answer_stay_in_order_though_the_first_edit_is_refused() -> None:
    """S1: a part posted anew would stand below those that follow it."""
    async with open_outbound_harness(is_agent=False) as outbound:
        address, text = outbound.ask(), prose(30_000)
        reply = outbound.reply(address)
        await reply.show(text)
        await wait_until(lambda: outbound.seen(address) == text)
        first = outbound.answers(address)[0].ts
        other = text.replace("1. ", "I. ", 1)
        outbound.server.refuse = lambda method, args: (
            "something_new" if method == "chat.update" and args["ts"] == first else ""
        )
        await reply.finish(turn_of(address, other))
        await reply.aclose()
        assert outbound.seen(address) == other


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shown_before", [True, False])
async def test_an_answer_whose_message_is_refused_in_every_form_becomes_a_file(
    code: str, shown_before: bool
) -> None:
    """S1: nothing half shown stays, and no Stop button."""
    async with open_outbound_harness(is_agent=False) as outbound:
        address, text = outbound.ask(), prose(15_000)
        reply = outbound.reply(address)
        if shown_before:
            reply = await show_beginning(outbound, address, text)
        outbound.server.refuse = refusing(code, "chat.update", "chat.postMessage")
        await reply.finish(turn_of(address, text))
        await reply.aclose()
        (message,) = outbound.answers(address)
        (file,) = message.files
        assert message.text == AS_FILE
        assert outbound.server.space.files[file["id"]][:2] == (file, text.encode())
        assert file["name"] == FILE_NAME


def refuse_all_but(sentence: str, *, code: str = "something_new") -> Refuse:
    """Refuses edits, files and every message but `sentence`."""

    def refuse(method: str, args: dict[str, Any]) -> str:
        if method == "chat.postMessage" and args.get("text") != sentence:
            return code
        return code if method.startswith("files.") or method == "chat.update" else ""

    return refuse


@pytest.mark.parametrize("ending", ["finish", "fail", "post", "post_buttons"])
async def test_a_sentence_says_so_where_neither_message_nor_file_is_taken(
    outbound: OutboundHarness, ending: str
) -> None:
    """S1: never dead without a word: answers, failures, notices and offers alike."""
    address = outbound.ask()
    reply = outbound.reply(address)
    outbound.server.refuse = refuse_all_but(NOT_SHOWN)
    if ending == "finish":
        await reply.finish(turn_of(address, prose(15_000)))
    elif ending == "fail":
        await reply.fail(turn_of(address, state="failed"), ModelError("down"))
    elif ending == "post":
        await reply.post("Forgotten: 2 turns.")
    else:
        await reply.post_buttons("Shall I?", [CommandButton("Yes", "reset")])
    await reply.aclose()
    assert [message.text for message in outbound.answers(address)] == [NOT_SHOWN]


async def test_a_person_is_told_alone_where_the_channel_takes_nothing(
    outbound: OutboundHarness,
) -> None:
    """S1: in an ephemeral message, or in direct messages if that is refused as well."""

    def closed_to(*spared: str) -> Refuse:
        def refuse(method: str, args: dict[str, Any]) -> str:
            is_there = args.get("channel") == "C1" or method.startswith("files.")
            return "something_new" if is_there and method not in spared else ""

        return refuse

    address = outbound.ask()
    outbound.server.refuse = closed_to("chat.postEphemeral")
    await outbound.reply(address).finish(turn_of(address, "Yes."))
    (alone,) = outbound.server.ephemerals("C1", "U1")
    assert alone.text == NOT_SHOWN
    outbound.server.refuse = closed_to()
    await outbound.reply(address).finish(turn_of(address, "Yes."))
    assert [message.text for message in outbound.server.answers("D1")] == [NOT_SHOWN]
    assert outbound.answers(address) == []


async def test_a_refusal_is_an_error_only_where_everything_is_refused(
    outbound: OutboundHarness,
) -> None:
    """S1: the first refusal, for the log."""
    address = outbound.ask()
    outbound.server.refuse = lambda method, args: (
        "something_new" if method.startswith(("chat.", "files.")) else ""
    )
    with pytest.raises(PlatformError, match="postMessage: something_new"):
        await outbound.reply(address).finish(turn_of(address, "Yes."))


@pytest.mark.parametrize("code", ["restricted_action", "not_in_channel", "is_archived"])
async def test_a_person_is_told_where_the_channel_is_closed_to_the_bot(
    outbound: OutboundHarness, code: str
) -> None:
    """S1: the channel is gone for the bot, the person is not."""
    address = outbound.ask()
    outbound.server.refuse = lambda method, args: code if args.get("channel") == "C1" else ""
    with pytest.raises(PlaceGone):
        await outbound.reply(address).finish(turn_of(address, "Yes."))
    assert [message.text for message in outbound.server.answers("D1")] == [NOT_POSTED]


@pytest.mark.parametrize(
    "code", [*CODES, "message_not_in_streaming_state", "streaming_mode_mismatch"]
)
@pytest.mark.parametrize("frozen", [True, False])
async def test_a_stream_that_slack_does_not_end_is_replaced_by_the_whole_answer(
    outbound: OutboundHarness, code: str, frozen: bool
) -> None:
    """S1: `frozen`: its message cannot be edited either."""
    address, text = outbound.ask(), prose(3_000)
    reply = await show_beginning(outbound, address, text)
    assert outbound.answers(address)[0].streaming
    outbound.server.refuse = refusing(code, "chat.stopStream")
    if not frozen:
        outbound.answers(address)[0].streaming = False
    await reply.finish(turn_of(address, text))
    await reply.aclose()
    assert [message.text for message in outbound.answers(address)] == [text]


@pytest.mark.parametrize(
    "code", [*CODES, "file_uploads_disabled", "missing_scope", "no_permission"]
)
@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_a_file_that_is_refused_leaves_its_text_and_a_sentence(
    outbound: OutboundHarness, code: str, method: str
) -> None:
    """S1: `/export` where Slack takes no files."""
    address = outbound.ask()
    outbound.server.refuse = refusing(code, method)
    await outbound.reply(address).post("This conversation:", file=("talk.md", b"# Talk"))
    assert outbound.seen(address) == f"This conversation:\n\n{FILE_REFUSED}"


@pytest.mark.parametrize("code", [*CODES, "cannot_post_ephemeral"])
async def test_an_ephemeral_message_that_is_refused_goes_to_direct_messages(
    outbound: OutboundHarness, code: str
) -> None:
    """S1: it may be seen by its person only, so not in the channel."""
    address = outbound.ask(ephemeral_user="U1")
    outbound.server.refuse = refusing(code, "chat.postEphemeral")
    await outbound.reply(address).post("You may not do that here.")
    assert [message.text for message in outbound.server.answers("D1")] == [
        "You may not do that here."
    ]
    assert outbound.answers(address) == []


@pytest.mark.parametrize("code", CONTENT_REFUSED)
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
async def test_only_the_refused_part_of_a_message_is_made_simpler(
    outbound: OutboundHarness, code: str, method: str
) -> None:
    """S1: a delivery stays known to later tries as long as its metadata is taken."""
    address, text = outbound.ask(), "Yes. " * 50
    outbound.server.is_agent = False
    reply = outbound.reply(address)
    if method == "chat.update":
        reply = await show_beginning(outbound, address, text)
    outbound.server.fail(method, error=code)
    delivery = await reply.finish(turn_of(address, text))
    await reply.aclose()
    other = outbound.other_process().reply(address)
    assert await other.find_delivery(turn_of(address, text)) == delivery
    assert outbound.seen(address) == text
    assert outbound.answers(address)[0].buttons


async def test_a_message_without_metadata_is_not_taken_for_an_unfinished_stream(
    outbound: OutboundHarness,
) -> None:
    """S1: an answer shown without metadata, newer than the next question, stays as it is."""
    first = outbound.ask()
    second = outbound.ask(thread_ts=first.session.thread)
    outbound.server.refuse = lambda method, args: (
        "metadata_too_large" if args.get("metadata") else ""
    )
    await outbound.reply(first).finish(turn_of(first, "One."))
    outbound.server.refuse = refusing("")
    reply = outbound.other_process().reply(second, leftovers_after_s=0)
    await reply.show("Two")
    await reply.finish(turn_of(second, "Two.", id_="turn-2"))
    await reply.aclose()
    assert [message.text for message in outbound.server.answers("C1")] == ["One.", "Two."]
