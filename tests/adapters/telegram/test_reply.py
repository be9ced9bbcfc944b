"""An answer on its way: growing, whole, in its place, within the budget, whatever Telegram does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.telegram.api.client import make_client
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.preview import PreviewMode, newest
from adapters.telegram.outbound.reply import TelegramReply
from adapters.telegram.outbound.sent_messages import SentMessages
from adapters.telegram.settings import TelegramSettings
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.errors import (
    AnswerCut,
    ModelBusy,
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformUnreachable,
)
from bot.ports import CommandButton
from tests.adapters.telegram.harness import ANNA, BEN, FORUM, GROUP, InMemoryKeyValueStore, telegram
from tests.fakes.telegram.chats import units
from tests.fakes.telegram.server import BOT_ID, TelegramServer
from tests.support.wait import wait_until

__all__ = ["telegram"]


@dataclass(slots=True)
class Desk:
    """Makes replies."""

    sender: MessageSender
    sent_messages: SentMessages
    moves: list[tuple[SessionKey, SessionKey]]
    key_values: InMemoryKeyValueStore
    limiter: RateLimiter
    replies: list[TelegramReply] = field(default_factory=list)

    def reply(
        self,
        chat: int,
        topic: int | None = None,
        *,
        mode: PreviewMode = "edit",
        reply_to: int | None = None,
        chain: str = "",
        pace_s: float = 0.02,
        **options: Any,
    ) -> TelegramReply:
        self.replies.append(
            TelegramReply(
                self.sender,
                self.sent_messages,
                address(chat, topic, reply_to, chain),
                mode=mode,
                pace_s=pace_s,
                rated=True,
                **options,
            )
        )
        return self.replies[-1]


def address(
    chat: int, topic: int | None = None, reply_to: int | None = None, chain: str = ""
) -> Address:
    return Address(
        SessionKey("telegram", str(BOT_ID), str(chat), str(topic) if topic else ""),
        "private" if chat > 0 else "group",
        reply_to_id=str(reply_to) if reply_to else "",
        details={"chain": chain} if chain else {},
    )


def turn(answer: str, state: str = "complete", chat: int = ANNA) -> Turn:
    asked = Incoming(address(chat), Speaker("41"), "?", message_id="1")
    return Turn("t", (asked,), answer=answer, state=state)  # type: ignore[arg-type]


@asynccontextmanager
async def working(
    telegram: TelegramServer, limiter: RateLimiter | None = None, token: str = ""
) -> AsyncIterator[Desk]:
    settings = TelegramSettings.load(
        telegram_bot_token=token or telegram.token, telegram_api_url=telegram.url
    )
    limiter = limiter or RateLimiter(0.02, 500)
    client, request = make_client(settings, limiter)
    moves: list[tuple[SessionKey, SessionKey]] = []

    async def moved(old: SessionKey, new: SessionKey) -> None:
        moves.append((old, new))

    key_values = InMemoryKeyValueStore()
    sent_messages = SentMessages(key_values, str(BOT_ID))
    desk = Desk(
        MessageSender(client, moved, retry_pause_s=0.02), sent_messages, moves, key_values, limiter
    )
    try:
        yield desk
    finally:
        for one in desk.replies:
            await one.aclose()
        await request.shutdown()


@pytest.fixture
async def desk(telegram: TelegramServer) -> AsyncIterator[Desk]:
    async with working(telegram) as one:
        yield one


# -- whole and in place --------------------------------------------------------------------------


async def test_an_answer_is_said_with_its_looks_and_its_buttons(
    desk: Desk, telegram: TelegramServer
) -> None:
    delivery = await desk.reply(ANNA).finish(turn("**Hello** 😀 `you`"))
    (shown,) = telegram.seen(ANNA)
    assert shown.text == "Hello 😀 you"
    assert [(e["type"], e["offset"], e["length"]) for e in shown.entities] == [
        ("bold", 0, 5),
        ("code", 9, 3),
    ]
    assert shown.data == ["rate::up", "rate::down"]
    assert delivery.message_ids == (str(shown.id),)


async def test_a_thirty_thousand_character_answer_arrives_whole_and_as_a_file(
    desk: Desk, telegram: TelegramServer
) -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    code = "```rust\nlet v: Vec<T> = vec![]; // 🦀\n```\n"
    part = f"### Part 👩‍👩‍👧\n\nplain **bold** Vec<T>\n\n{table}\n{code}\n"
    answer = "".join(part.replace("Part", f"Part {n}") for n in range(30_000 // len(part) + 1))
    delivery = await desk.reply(ANNA).finish(turn(answer))
    seen = telegram.seen(ANNA)
    assert delivery.message_ids == tuple(str(one.id) for one in seen)
    *messages, document = seen
    assert all(units(one.text) <= 4096 for one in messages)
    assert telegram.dropped_entities == 0
    text = "".join("".join(one.text.split()) for one in messages)
    assert [int(n) for n in re.findall(r"Part(\d+)👩‍👩‍👧", text)] == list(
        range(30_000 // len(part) + 1)
    )
    assert text.count("letv:Vec<T>=vec![];//🦀") == 30_000 // len(part) + 1
    assert document.file == ("answer.md", answer.encode())


async def test_a_file_that_cannot_be_sent_does_not_undo_the_answer(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.fail("sendDocument", 413, "Request Entity Too Large", times=9)
    delivery = await desk.reply(ANNA).finish(turn("word " * 4_000))
    assert len(delivery.message_ids) == len(telegram.seen(ANNA)) == 5


async def test_an_answer_lands_in_its_topic_and_never_in_general(
    desk: Desk, telegram: TelegramServer
) -> None:
    await desk.reply(FORUM, 5, reply_to=3).finish(turn("long " * 2_000))
    assert len(telegram.seen(FORUM, 5)) == 3
    assert telegram.seen(FORUM) == []


async def test_when_the_topic_is_closed_nothing_is_said_elsewhere(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.chat(FORUM).closed_topics.add(5)
    with pytest.raises(PlaceGone):
        await desk.reply(FORUM, 5).finish(turn("hello"))
    with pytest.raises(PlaceGone):
        await desk.reply(FORUM, 99).finish(turn("hello"))
    assert telegram.seen(FORUM) == []


async def test_in_groups_the_first_message_answers_the_question(
    desk: Desk, telegram: TelegramServer
) -> None:
    asked = telegram.message(GROUP, BEN, "?")["message_id"]
    await desk.reply(GROUP, reply_to=asked).finish(turn("word " * 1_500))
    assert [one.reply_to for one in telegram.seen(GROUP)] == [asked, None]


async def test_comments_of_a_post_stay_under_it(desk: Desk, telegram: TelegramServer) -> None:
    asked = telegram.message(GROUP, BEN, "?", message_thread_id=4)["message_id"]
    await desk.reply(GROUP, reply_to=asked, chain="4").finish(turn("word " * 1_500))
    assert [one.reply_to for one in telegram.seen(GROUP)] == [asked, asked]


async def test_a_question_that_was_deleted_is_answered_all_the_same(
    desk: Desk, telegram: TelegramServer
) -> None:
    await desk.reply(GROUP, reply_to=999).finish(turn("here"))
    assert telegram.texts(GROUP) == ["here"]


async def test_an_entity_that_telegram_dislikes_costs_the_looks_not_the_words(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessage", 400, "Bad Request: entity beyond the text at 1+2")
    await desk.reply(ANNA).finish(turn("**hello**"))
    (shown,) = telegram.seen(ANNA)
    assert (shown.text, shown.entities) == ("hello", [])


@pytest.mark.parametrize(("state", "words"), [("stopped", "Stopped."), ("complete", "no words")])
async def test_an_answer_without_words_says_so(
    desk: Desk, telegram: TelegramServer, state: str, words: str
) -> None:
    await desk.reply(ANNA).finish(turn(" \n", state))
    assert words in telegram.texts(ANNA)[0]


async def test_a_failure_keeps_what_was_shown_and_offers_another_try(
    desk: Desk, telegram: TelegramServer
) -> None:
    reply = desk.reply(GROUP)
    await reply.show("The answer is")
    await wait_until(lambda: telegram.seen(GROUP))
    await reply.fail(turn("The answer is", "failed"), ModelBusy("429", retry_after_s=7))
    (shown,) = telegram.seen(GROUP)
    assert shown.text.startswith("The answer is\n\n⚠️ The language model is busy.")
    assert shown.data == ["do::retry"]


async def test_an_error_is_told_below_a_code_block_that_was_cut_off(
    desk: Desk, telegram: TelegramServer
) -> None:
    await desk.reply(GROUP).fail(turn("```python\nprint(1", "failed"), AnswerCut())
    (shown,) = telegram.seen(GROUP)
    assert shown.text.startswith("print(1\n\n⚠️")
    assert [one["length"] for one in shown.entities] == [len("print(1")]


async def test_words_of_the_bots_own_may_bring_a_file(desk: Desk, telegram: TelegramServer) -> None:
    await desk.reply(FORUM, 6).post("This conversation:", file=("c.md", b"# all"))
    (shown,) = telegram.seen(FORUM, 6)
    assert (shown.text, shown.file) == ("This conversation:", ("c.md", b"# all"))


async def test_offers_are_buttons(desk: Desk, telegram: TelegramServer) -> None:
    reply = desk.reply(FORUM, 6)
    await reply.post_buttons("Again?", [CommandButton("Yes", "retry"), CommandButton("No")])
    (shown,) = telegram.seen(FORUM, 6)
    assert shown.data == ["do:6:retry", "do:6:"]


# -- growing -------------------------------------------------------------------------------------


async def test_in_private_an_answer_grows_as_a_draft_and_becomes_one_message(
    desk: Desk, telegram: TelegramServer
) -> None:
    reply = desk.reply(ANNA, mode="draft")
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


async def test_an_empty_draft_that_is_not_liked_does_not_end_drafts(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessageDraft", 400, "Bad Request: message text is empty")
    reply = desk.reply(ANNA, mode="draft")
    await reply.set_status("thinking")
    await wait_until(lambda: telegram.called("sendMessageDraft"))
    await reply.show("One")
    await wait_until(lambda: telegram.chat(ANNA).drafts_shown == ["One"])
    await reply.finish(turn("One"))
    assert telegram.called("editMessageText") == []


async def test_where_a_chat_takes_no_drafts_this_answer_grows_by_edits(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessageDraft", 400, "Bad Request: TEXTDRAFT_PEER_INVALID", times=9)
    reply = desk.reply(ANNA, mode="draft")
    await reply.show("One")
    await wait_until(lambda: telegram.texts(ANNA) == ["One"])
    await reply.finish(turn("One two"))
    assert telegram.texts(ANNA) == ["One two"]


async def test_where_there_are_no_drafts_one_message_is_edited(
    telegram: TelegramServer, desk: Desk
) -> None:
    telegram.drafts = False
    told: list[int] = []
    reply = desk.reply(ANNA, mode="draft", on_drafts_unsupported=lambda: told.append(1))
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
    shown = newest(text)
    assert units(shown.text) <= 4096
    assert shown.text.startswith("…\n")
    assert shown.text.endswith("last = 2")
    assert [(one.type, one.language) for one in shown.entities] == [("pre", "python")]


async def test_an_answer_longer_than_a_message_replaces_its_preview(
    desk: Desk, telegram: TelegramServer
) -> None:
    reply = desk.reply(GROUP)
    answer = " ".join(f"w{n}" for n in range(2_000))
    await reply.show(answer)
    await wait_until(lambda: telegram.seen(GROUP))
    await reply.finish(turn(answer))
    assert " ".join(telegram.texts(GROUP)).split() == answer.split()
    assert telegram.seen(GROUP)[0].edits == 1


async def test_typing_is_kept_alive_while_the_model_thinks(
    desk: Desk, telegram: TelegramServer
) -> None:
    reply = desk.reply(FORUM, 5, typing_every_s=0.02)
    await reply.set_status("thinking")
    await wait_until(lambda: telegram.chat(FORUM).actions.count(("typing", 5)) >= 3)
    await reply.finish(turn("done"))
    count = len(telegram.chat(FORUM).actions)
    await asyncio.sleep(0.1)
    assert len(telegram.chat(FORUM).actions) <= count + 1, "no more than was on its way"


async def test_a_preview_that_became_no_answer_is_taken_back(
    desk: Desk, telegram: TelegramServer
) -> None:
    reply = desk.reply(GROUP)
    await reply.show("half an ans")
    await wait_until(lambda: telegram.seen(GROUP))
    await reply.aclose()
    assert telegram.seen(GROUP) == []


async def test_a_preview_that_somebody_deleted_costs_nothing_of_the_answer(
    desk: Desk, telegram: TelegramServer
) -> None:
    reply = desk.reply(GROUP)
    await reply.show("half")
    await wait_until(lambda: telegram.seen(GROUP))
    telegram.chat(GROUP).messages.clear()
    await reply.finish(turn("half and whole"))
    assert telegram.texts(GROUP) == ["half and whole"]


async def test_a_preview_that_may_have_arrived_is_not_sent_again(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.lose_answer("sendMessage")
    reply = desk.reply(GROUP)
    for number in range(10):
        await reply.show(f"{number} ")
        await wait_until(lambda: telegram.seen(GROUP))
        await asyncio.sleep(0.03)
    assert len(telegram.seen(GROUP)) == 1
    await reply.finish(turn("0 1 2"))
    assert [one.data for one in telegram.seen(GROUP)] == [["stop::"], ["rate::up", "rate::down"]]


async def test_no_answer_waits_for_a_sign_of_typing(desk: Desk, telegram: TelegramServer) -> None:
    telegram.hang("sendChatAction")
    reply = desk.reply(GROUP)
    await reply.set_status("thinking")
    await wait_until(lambda: telegram.called("sendChatAction"))
    await reply.finish(turn("done"))
    assert telegram.texts(GROUP) == ["done"]


async def test_no_answer_waits_for_a_second_try_of_a_courtesy(
    desk: Desk, telegram: TelegramServer
) -> None:
    reply = desk.reply(GROUP)
    await reply.show("half")
    await wait_until(lambda: telegram.seen(GROUP))
    telegram.fail("editMessageText", 502, "Bad Gateway")
    await reply.show(" and more")
    await wait_until(lambda: telegram.called("editMessageText"))
    await reply.preview.end()
    assert len(telegram.called("editMessageText")) == 1


async def test_showing_never_fails_an_answer(desk: Desk, telegram: TelegramServer) -> None:
    for method in ("sendMessageDraft", "sendChatAction"):
        telegram.fail(method, 500, "Internal Server Error", times=50)
    reply = desk.reply(ANNA, mode="draft")
    await reply.set_status("thinking")
    await reply.show("some")
    await reply.finish(turn("something"))
    assert telegram.texts(ANNA) == ["something"]


# -- floods --------------------------------------------------------------------------------------


async def test_under_a_message_a_second_ten_answers_all_arrive_and_no_429_is_ignored(
    telegram: TelegramServer,
) -> None:
    telegram.flood.chat_interval_s = 0.1
    async with working(telegram, RateLimiter(0.1, 500)) as desk:

        async def answer(number: int) -> None:
            reply = desk.reply(GROUP, pace_s=0.1)
            await reply.set_status("thinking")
            for piece in ("The ", "answer ", f"{number}"):
                await reply.show(piece)
                await asyncio.sleep(0.05)
            await reply.finish(turn(f"The answer {number}"))

        await asyncio.gather(*(answer(number) for number in range(10)))
    assert sorted(telegram.texts(GROUP)) == sorted(f"The answer {n}" for n in range(10))
    assert telegram.flood.ignored == 0


async def test_a_flood_ban_is_waited_out_and_then_the_answer_arrives(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessage", 429, "Too Many Requests: retry after 0.3", retry_after=0.3)
    await desk.reply(ANNA).finish(turn("after all"))
    assert telegram.texts(ANNA) == ["after all"]
    assert (len(telegram.called("sendMessage")), telegram.flood.ignored) == (2, 0)


async def test_while_a_chat_is_closed_nothing_goes_there_and_other_chats_go_on(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessage", 429, "Too Many Requests: retry after 1", retry_after=1)
    first = asyncio.create_task(desk.reply(GROUP).finish(turn("one")))
    await wait_until(lambda: desk.limiter.limits_of(GROUP).lane.open_at)
    second = desk.reply(GROUP)
    await second.set_status("thinking")
    await second.show("two")
    await desk.reply(ANNA).finish(turn("elsewhere"))
    assert telegram.texts(ANNA) == ["elsewhere"]
    assert not first.done()
    assert telegram.chat(GROUP).actions == []
    await first
    await second.finish(turn("two"))
    assert telegram.texts(GROUP) == ["one", "two"]
    assert telegram.flood.ignored == 0


async def test_a_ban_for_longer_than_patience_is_handed_back_with_its_time(
    telegram: TelegramServer,
) -> None:
    telegram.fail("sendMessage", 429, "Too Many Requests: retry after 7740", retry_after=7740)
    async with working(telegram) as desk:
        for _ in range(2):
            with pytest.raises(PlatformBusy) as raised:
                await desk.reply(ANNA).finish(turn("hello"))
            assert raised.value.retry_after_s is not None
            assert 7_700 < raised.value.retry_after_s <= 7_741
    assert len(telegram.called("sendMessage")) == 1, "nobody knocks before the time is over"


async def test_after_three_floods_previews_end_but_the_answer_arrives(
    telegram: TelegramServer,
) -> None:
    async with working(telegram) as desk:
        reply = desk.reply(GROUP)
        telegram.fail(
            "editMessageText", 429, "Too Many Requests: retry after 0.1", 3, retry_after=0.1
        )

        async def it_was_too_much_three_times() -> bool:
            await reply.show("more ")
            return len(telegram.called("editMessageText")) == 3

        await wait_until(it_was_too_much_three_times)
        for number in range(40):
            await reply.show(f"more {number} ")
            await asyncio.sleep(0.01)
        assert len(telegram.called("editMessageText")) == 3
        await reply.finish(turn("the whole answer"))
    assert telegram.texts(GROUP) == ["the whole answer"]


async def test_previews_leave_half_of_a_groups_minute_to_answers(telegram: TelegramServer) -> None:
    telegram.flood.group_per_minute = 20
    async with working(telegram, RateLimiter(0.02, 20)) as desk:
        reply = desk.reply(GROUP)
        for number in range(25):
            await reply.show(f"{number} ")
            await asyncio.sleep(0.03)
        sent = len(telegram.called("sendMessage")) + len(telegram.called("editMessageText"))
        assert sent <= 10
        await reply.finish(turn("done"))
        for number in range(8):
            await desk.reply(GROUP).finish(turn(f"answer {number}"))
    assert telegram.flood.refused == 0


async def test_typing_does_not_use_up_a_groups_minute(telegram: TelegramServer) -> None:
    async with working(telegram, RateLimiter(0.02, 3)) as desk:
        for _ in range(10):
            await desk.sender.bot.send_chat_action(GROUP, "typing")
        async with asyncio.timeout(50):  # else it would wait for the next minute
            for number in range(3):
                await desk.reply(GROUP).finish(turn(f"answer {number}"))


# -- a second try ------------------------------------------------------------------------------


async def die(desk: Desk, reply: TelegramReply) -> None:
    """What a process leaves behind that is killed."""
    await reply.preview.end()
    desk.replies.remove(reply)


async def test_messages_shown_by_a_killed_process_are_taken_back_by_the_next(
    desk: Desk, telegram: TelegramServer
) -> None:
    asked = telegram.message(GROUP, BEN, "?")["message_id"]
    killed = desk.reply(GROUP, reply_to=asked)
    await killed.show("Once upon")
    await wait_until(lambda: telegram.seen(GROUP))
    await die(desk, killed)
    other = desk.reply(GROUP, reply_to=asked + 1)
    await other.finish(turn("something else"))
    again = desk.reply(GROUP, reply_to=asked)
    await again.set_status("thinking")
    assert telegram.texts(GROUP) == ["Once upon", "something else"]
    await again.finish(turn("Once upon a time"))
    await again.aclose()
    assert telegram.texts(GROUP) == ["something else", "Once upon a time"]
    assert desk.key_values == {}


async def test_the_preview_of_a_second_try_replaces_that_of_the_first(
    desk: Desk, telegram: TelegramServer
) -> None:
    asked = telegram.message(GROUP, BEN, "?")["message_id"]
    killed = desk.reply(GROUP, reply_to=asked)
    await killed.show("Once upon")
    await wait_until(lambda: telegram.seen(GROUP))
    await die(desk, killed)
    again = desk.reply(GROUP, reply_to=asked)
    await again.show("There was")
    await wait_until(lambda: telegram.texts(GROUP) == ["There was"])
    await again.finish(turn("There was a time"))
    assert telegram.texts(GROUP) == ["There was a time"]


@pytest.mark.parametrize("chat", [ANNA, GROUP])
async def test_an_answer_of_which_only_a_part_arrived_is_said_whole_and_once(
    desk: Desk, telegram: TelegramServer, chat: int
) -> None:
    answer = " ".join(f"w{n}" for n in range(1_800))
    asked = telegram.message(chat, BEN, "?")["message_id"]
    telegram.fail("sendMessage", 500, "Internal Server Error", times=4, later=2)
    reply = desk.reply(chat, reply_to=asked, mode="off")
    with pytest.raises(PlatformUnreachable):
        await reply.finish(turn(answer))
    await reply.aclose()
    assert len(telegram.seen(chat)) == 2
    again = desk.reply(chat, reply_to=asked, mode="off")
    delivery = await again.finish(turn(answer))
    await again.aclose()
    assert " ".join(telegram.texts(chat)).split() == answer.split()
    assert delivery.message_ids == tuple(str(one.id) for one in telegram.seen(chat))
    assert desk.key_values == {}


async def test_a_ban_in_the_middle_of_an_answer_is_no_proof_that_nothing_arrived(
    telegram: TelegramServer,
) -> None:
    telegram.fail("sendMessage", 429, "Too Many Requests: retry after 9", later=1, retry_after=9)
    async with working(telegram, RateLimiter(0.02, 500, max_wait_s=1)) as desk:
        with pytest.raises(PlatformUnreachable) as raised:
            await desk.reply(ANNA).finish(turn("word " * 1_500))
    assert raised.value.retry_after_s == 9


# -- what may have happened ----------------------------------------------------------------------


async def test_a_message_whose_answer_was_lost_is_not_sent_twice(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.lose_answer("sendMessage")
    with pytest.raises(PlatformUnreachable):
        await desk.reply(ANNA).finish(turn("once"))
    assert telegram.texts(ANNA) == ["once"]


async def test_an_edit_whose_answer_was_lost_is_made_again(
    desk: Desk, telegram: TelegramServer
) -> None:
    reply = desk.reply(GROUP)
    await reply.show("half")
    await wait_until(lambda: telegram.seen(GROUP))
    await reply.preview.end()
    telegram.lose_answer("editMessageText")
    await reply.finish(turn("whole"))
    assert telegram.texts(GROUP) == ["whole"]


async def test_a_call_that_the_server_did_not_execute_is_sent_again(
    desk: Desk, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessage", 502, "Bad Gateway", times=2)
    await desk.reply(ANNA).finish(turn("once"))
    assert telegram.texts(ANNA) == ["once"]


async def test_a_bad_request_is_not_tried_again(desk: Desk, telegram: TelegramServer) -> None:
    telegram.fail("sendMessage", 400, "Bad Request: something is wrong", times=9)
    with pytest.raises(PlatformError):
        await desk.reply(ANNA).finish(turn("hello"))
    assert len(telegram.called("sendMessage")) == 1


async def test_a_dead_line_is_an_error_of_ours_without_the_token(
    telegram: TelegramServer,
) -> None:
    secret = f"{BOT_ID}:" + "AAbbCC" * 5
    await telegram.stop()
    async with working(telegram, token=secret) as desk:
        with pytest.raises(PlatformUnreachable) as raised:
            await desk.reply(ANNA).finish(turn("hello"))
    assert secret not in repr(raised.value) + str(raised.value.__cause__)
    await telegram.start()


@pytest.mark.parametrize(
    ("chat", "why"),
    [
        (ANNA, "bot was blocked by the user"),
        (ANNA, "user is deactivated"),
        (GROUP, "bot was kicked from the supergroup chat"),
    ],
)
async def test_a_person_who_cannot_be_reached_is_not_tried_again(
    desk: Desk, telegram: TelegramServer, chat: int, why: str
) -> None:
    telegram.chat(chat).gone = why
    with pytest.raises(PlaceGone, match=why):
        await desk.reply(chat).finish(turn("hello"))
    assert len(telegram.called("sendMessage")) == 1


async def test_a_group_that_got_a_new_id_is_followed(desk: Desk, telegram: TelegramServer) -> None:
    telegram.group(-55, "Small")
    telegram.chat(-55).migrated_to = -10055
    telegram.group(-10055, "Small")
    await desk.reply(-55).finish(turn("one"))
    await desk.reply(-55).finish(turn("two"))
    assert telegram.texts(-10055) == ["one", "two"]
    old, new = (
        SessionKey("telegram", str(BOT_ID), "-55"),
        SessionKey("telegram", str(BOT_ID), "-10055"),
    )
    assert desk.moves == [(old, new)]
    assert len(telegram.called("sendMessage")) == 3
