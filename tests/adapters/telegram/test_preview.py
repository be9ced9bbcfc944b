"""Previews: an answer grows as a draft or by edits, and never at the cost of the answer."""

from __future__ import annotations

import asyncio

from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.outbound.layout import lay_out_newest
from tests.adapters.telegram.harness import ANNA, FORUM, GROUP
from tests.adapters.telegram.outbound_harness import OutboundHarness, open_outbound, turn
from tests.fakes.telegram.chats import units
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


def is_running(name: str) -> bool:
    """Whether a task of that name runs."""
    return any(task.get_name() == name for task in asyncio.all_tasks())


async def test_an_answer_in_private_grows_as_a_draft_and_becomes_one_message(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    reply = outbound.reply(ANNA, mode="draft")
    chat = telegram.chat(ANNA)
    await reply.set_status("thinking")
    await wait_until(lambda: chat.drafts_shown == [""])  # Telegram shows “Thinking…”
    assert chat.drafts[None]["can_stop"]
    for piece, shown in (("One ", "One"), ("**two** ", "One two"), ("three", "One two three")):
        await reply.show(piece)
        await wait_until(lambda shown=shown: chat.drafts_shown[-1].strip() == shown)
    await reply.finish(turn("One **two** three"))
    assert telegram.texts(ANNA) == ["One two three"]
    assert (chat.drafts, telegram.called("editMessageText")) == ({}, [])


async def test_a_refused_empty_draft_does_not_end_drafts(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessageDraft", 400, "Bad Request: message text is empty")
    reply = outbound.reply(ANNA, mode="draft")
    await reply.set_status("thinking")
    await wait_until(lambda: telegram.called("sendMessageDraft"))
    await reply.show("One")
    await wait_until(lambda: telegram.chat(ANNA).drafts_shown == ["One"])
    await reply.finish(turn("One"))
    assert telegram.called("editMessageText") == []


async def test_an_answer_grows_by_edits_where_a_chat_takes_no_drafts(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessageDraft", 400, "Bad Request: TEXTDRAFT_PEER_INVALID", times=9)
    reply = outbound.reply(ANNA, mode="draft")
    await reply.show("One")
    await wait_until(lambda: telegram.texts(ANNA) == ["One"])
    await reply.finish(turn("One two"))
    assert telegram.texts(ANNA) == ["One two"]


async def test_one_message_is_edited_where_the_server_has_no_drafts(
    telegram: TelegramServer, outbound: OutboundHarness
) -> None:
    telegram.drafts = False
    told: list[int] = []
    reply = outbound.reply(ANNA, mode="draft", on_drafts_unsupported=lambda: told.append(1))
    await reply.set_status("thinking")
    await reply.show("One ")
    await wait_until(lambda: telegram.texts(ANNA) == ["One"])
    await reply.show("two")
    await wait_until(lambda: telegram.texts(ANNA) == ["One two"])
    assert telegram.seen(ANNA)[0].data == ["stop::"]
    await reply.finish(turn("One two three"))
    (shown,) = telegram.seen(ANNA)
    assert shown.text == "One two three"
    assert "stop::" not in shown.data
    assert told == [1]


async def test_a_growing_answer_longer_than_a_message_shows_its_end() -> None:
    text = "word " * 4_000 + "\n\n```python\n" + "x = 1\n" * 2_000 + "last = 2"
    shown = await lay_out_newest(text)
    assert units(shown.text) <= 4096
    assert shown.text.startswith("…\n")
    assert shown.text.endswith("last = 2")
    assert [(entity.type, entity.language) for entity in shown.entities] == [("pre", "python")]


async def test_an_answer_longer_than_a_message_replaces_its_preview(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    reply = outbound.reply(GROUP)
    answer = " ".join(f"w{n}" for n in range(2_000))
    await reply.show(answer)
    await wait_until(lambda: telegram.seen(GROUP))
    await reply.finish(turn(answer))
    assert " ".join(telegram.texts(GROUP)).split() == answer.split()
    assert telegram.seen(GROUP)[0].edits == 1


async def test_typing_is_shown_again_and_again_until_the_answer(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    reply = outbound.reply(FORUM, 5, typing_every_s=0.02)
    await reply.set_status("thinking")
    await wait_until(lambda: telegram.chat(FORUM).actions.count(("typing", 5)) >= 3)
    await reply.finish(turn("done"))
    assert not is_running("typing")


async def test_a_preview_that_became_no_answer_is_deleted(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    reply = outbound.reply(GROUP)
    await reply.show("half an ans")
    await wait_until(lambda: telegram.seen(GROUP))
    await reply.aclose()
    assert telegram.seen(GROUP) == []


async def test_a_preview_that_a_person_deleted_costs_nothing_of_the_answer(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    reply = outbound.reply(GROUP)
    await reply.show("half")
    await wait_until(lambda: telegram.seen(GROUP))
    telegram.chat(GROUP).messages.clear()
    await reply.finish(turn("half and whole"))
    assert telegram.texts(GROUP) == ["half and whole"]


async def test_a_preview_that_may_have_arrived_is_not_sent_again(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.lose_response("sendMessage")
    reply = outbound.reply(GROUP)
    await reply.show("0 ")
    await wait_until(lambda: telegram.seen(GROUP) and not is_running("preview"))
    await reply.show("1 ")
    assert not is_running("preview")
    await reply.finish(turn("0 1 2"))
    assert [shown.data for shown in telegram.seen(GROUP)] == [
        ["stop::"],
        ["rate::up", "rate::down"],
    ]


async def test_an_answer_does_not_wait_for_the_typing_indicator(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.hang("sendChatAction")
    reply = outbound.reply(GROUP)
    await reply.set_status("thinking")
    await wait_until(lambda: telegram.called("sendChatAction"))
    await reply.finish(turn("done"))
    assert telegram.texts(GROUP) == ["done"]


async def test_an_answer_does_not_wait_for_a_second_try_of_its_preview(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    reply = outbound.reply(GROUP)
    await reply.show("half")
    await wait_until(lambda: telegram.seen(GROUP))
    telegram.fail("editMessageText", 502, "Bad Gateway")
    await reply.show(" and more")
    await wait_until(lambda: telegram.called("editMessageText"))
    await reply.preview.end()
    assert len(telegram.called("editMessageText")) == 1


async def test_a_failing_preview_never_fails_an_answer(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    for method in ("sendMessageDraft", "sendChatAction"):
        telegram.fail(method, 500, "Internal Server Error", times=50)
    reply = outbound.reply(ANNA, mode="draft")
    await reply.set_status("thinking")
    await reply.show("some")
    await reply.finish(turn("something"))
    assert telegram.texts(ANNA) == ["something"]


async def test_previews_end_after_three_floods_but_the_answer_arrives(
    telegram: TelegramServer,
) -> None:
    async with open_outbound(telegram) as outbound:
        reply = outbound.reply(GROUP)
        telegram.fail(
            "editMessageText", 429, "Too Many Requests: retry after 0.1", 3, retry_after=0.1
        )
        await reply.show("some ")
        await wait_until(lambda: telegram.seen(GROUP))
        await reply.show("more ")
        await wait_until(lambda: not is_running("preview"))
        assert len(telegram.called("editMessageText")) == 3
        await reply.show("and more")
        assert not is_running("preview")
        await reply.finish(turn("the whole answer"))
    assert telegram.texts(GROUP) == ["the whole answer"]


async def test_previews_leave_half_of_a_groups_minute_to_answers(telegram: TelegramServer) -> None:
    telegram.flood.group_per_minute = 20
    async with open_outbound(telegram, RateLimiter(0.02, 20)) as outbound:
        reply = outbound.reply(GROUP)

        def previews() -> int:
            return len(telegram.called("sendMessage")) + len(telegram.called("editMessageText"))

        for number in range(10):
            await reply.show(f"{number} ")
            await wait_until(lambda number=number: previews() > number)
        await reply.show("11 ")
        await reply.preview.end()
        assert previews() == 10
        await reply.finish(turn("done"))
        for number in range(8):
            await outbound.reply(GROUP).finish(turn(f"answer {number}"))
    assert telegram.flood.refused == 0
