"""Replies: whole, in their place, and sent once although a process was killed."""

from __future__ import annotations

import re

import pytest

from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.outbound.reply import TelegramReply
from bot.errors import (
    AnswerCut,
    ModelBusy,
    PlatformUnreachable,
)
from bot.ports import CommandButton
from tests.adapters.telegram.harness import ANNA, BEN, FORUM, GROUP
from tests.adapters.telegram.outbound_harness import OutboundHarness, open_outbound, turn
from tests.fakes.telegram.chats import units
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


async def die(outbound: OutboundHarness, reply: TelegramReply) -> None:
    """What a process leaves behind that is killed."""
    await reply.preview.end()
    outbound.replies.remove(reply)


async def test_an_answer_has_its_entities_and_its_rating_buttons(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    delivery = await outbound.reply(ANNA).finish(turn("**Hello** 😀 `you`"))
    (shown,) = telegram.seen(ANNA)
    assert shown.text == "Hello 😀 you"
    assert [(e["type"], e["offset"], e["length"]) for e in shown.entities] == [
        ("bold", 0, 5),
        ("code", 9, 3),
    ]
    assert shown.data == ["rate::up", "rate::down"]
    assert delivery.message_ids == (str(shown.id),)


async def test_a_thirty_thousand_character_answer_arrives_whole_and_as_a_file(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    code = "```rust\nlet v: Vec<T> = vec![]; // 🦀\n```\n"
    part = f"### Part 👩‍👩‍👧\n\nplain **bold** Vec<T>\n\n{table}\n{code}\n"
    answer = "".join(part.replace("Part", f"Part {n}") for n in range(30_000 // len(part) + 1))
    delivery = await outbound.reply(ANNA).finish(turn(answer))
    seen = telegram.seen(ANNA)
    assert delivery.message_ids == tuple(str(shown.id) for shown in seen)
    *messages, document = seen
    assert all(units(shown.text) <= 4096 for shown in messages)
    assert telegram.dropped_entities == 0
    text = "".join("".join(shown.text.split()) for shown in messages)
    assert [int(n) for n in re.findall(r"Part(\d+)👩‍👩‍👧", text)] == list(
        range(30_000 // len(part) + 1)
    )
    assert text.count("letv:Vec<T>=vec![];//🦀") == 30_000 // len(part) + 1
    assert document.file == ("answer.md", answer.encode())


async def test_a_file_that_cannot_be_sent_does_not_undo_the_answer(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.fail("sendDocument", 413, "Request Entity Too Large", times=9)
    delivery = await outbound.reply(ANNA).finish(turn("word " * 4_000))
    assert len(delivery.message_ids) == len(telegram.seen(ANNA)) == 5


async def test_an_answer_lands_in_its_topic_and_never_in_general(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    await outbound.reply(FORUM, 5, reply_to=3).finish(turn("long " * 2_000))
    assert len(telegram.seen(FORUM, 5)) == 3
    assert telegram.seen(FORUM) == []


async def test_the_first_message_in_a_group_replies_to_the_question(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    asked = telegram.message(GROUP, BEN, "?")["message_id"]
    await outbound.reply(GROUP, reply_to=asked).finish(turn("word " * 1_500))
    assert [shown.reply_to for shown in telegram.seen(GROUP)] == [asked, None]


async def test_comments_of_a_post_stay_under_it(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    asked = telegram.message(GROUP, BEN, "?", message_thread_id=4)["message_id"]
    await outbound.reply(GROUP, reply_to=asked, chain="4").finish(turn("word " * 1_500))
    assert [shown.reply_to for shown in telegram.seen(GROUP)] == [asked, asked]


async def test_a_question_that_was_deleted_is_answered_all_the_same(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    await outbound.reply(GROUP, reply_to=999).finish(turn("here"))
    assert telegram.texts(GROUP) == ["here"]


@pytest.mark.parametrize(("state", "words"), [("stopped", "Stopped."), ("complete", "no words")])
async def test_an_answer_without_words_says_so(
    outbound: OutboundHarness, telegram: TelegramServer, state: str, words: str
) -> None:
    await outbound.reply(ANNA).finish(turn(" \n", state))
    assert words in telegram.texts(ANNA)[0]


async def test_a_failed_answer_keeps_what_was_shown_and_offers_another_try(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    reply = outbound.reply(GROUP)
    await reply.show("The answer is")
    await wait_until(lambda: telegram.seen(GROUP))
    await reply.fail(turn("The answer is", "failed"), ModelBusy("429", retry_after_s=7))
    (shown,) = telegram.seen(GROUP)
    assert shown.text.startswith("The answer is\n\n⚠️ The language model is busy.")
    assert shown.data == ["do::retry"]


async def test_an_error_is_told_below_a_code_block_that_was_cut_off(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    await outbound.reply(GROUP).fail(turn("```python\nprint(1", "failed"), AnswerCut())
    (shown,) = telegram.seen(GROUP)
    assert shown.text.startswith("print(1\n\n⚠️")
    assert [one["length"] for one in shown.entities] == [len("print(1")]


async def test_a_posted_text_may_bring_a_file(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    await outbound.reply(FORUM, 6).post("This conversation:", file=("c.md", b"# all"))
    (shown,) = telegram.seen(FORUM, 6)
    assert (shown.text, shown.file) == ("This conversation:", ("c.md", b"# all"))


async def test_offers_are_buttons(outbound: OutboundHarness, telegram: TelegramServer) -> None:
    reply = outbound.reply(FORUM, 6)
    await reply.post_buttons("Again?", [CommandButton("Yes", "retry"), CommandButton("No")])
    (shown,) = telegram.seen(FORUM, 6)
    assert shown.data == ["do:6:retry", "do:6:"]


async def test_a_preview_of_a_killed_process_is_deleted_by_the_next(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    asked = telegram.message(GROUP, BEN, "?")["message_id"]
    killed = outbound.reply(GROUP, reply_to=asked)
    await killed.show("Once upon")
    await wait_until(lambda: telegram.seen(GROUP))
    await die(outbound, killed)
    other = outbound.reply(GROUP, reply_to=asked + 1)
    await other.finish(turn("something else"))
    again = outbound.reply(GROUP, reply_to=asked)
    await again.set_status("thinking")
    assert telegram.texts(GROUP) == ["Once upon", "something else"]
    await again.finish(turn("Once upon a time"))
    await again.aclose()
    assert telegram.texts(GROUP) == ["something else", "Once upon a time"]
    assert outbound.key_values == {}


async def test_the_preview_of_a_second_try_replaces_that_of_the_first(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    asked = telegram.message(GROUP, BEN, "?")["message_id"]
    killed = outbound.reply(GROUP, reply_to=asked)
    await killed.show("Once upon")
    await wait_until(lambda: telegram.seen(GROUP))
    await die(outbound, killed)
    again = outbound.reply(GROUP, reply_to=asked)
    await again.show("There was")
    await wait_until(lambda: telegram.texts(GROUP) == ["There was"])
    await again.finish(turn("There was a time"))
    assert telegram.texts(GROUP) == ["There was a time"]


@pytest.mark.parametrize("chat", [ANNA, GROUP])
async def test_a_partial_answer_is_sent_again_whole_and_once(
    outbound: OutboundHarness, telegram: TelegramServer, chat: int
) -> None:
    answer = " ".join(f"w{n}" for n in range(1_800))
    asked = telegram.message(chat, BEN, "?")["message_id"]
    telegram.fail("sendMessage", 500, "Internal Server Error", times=4, later=2)
    reply = outbound.reply(chat, reply_to=asked, mode="off")
    with pytest.raises(PlatformUnreachable):
        await reply.finish(turn(answer))
    await reply.aclose()
    assert len(telegram.seen(chat)) == 2
    again = outbound.reply(chat, reply_to=asked, mode="off")
    delivery = await again.finish(turn(answer))
    await again.aclose()
    assert " ".join(telegram.texts(chat)).split() == answer.split()
    assert delivery.message_ids == tuple(str(shown.id) for shown in telegram.seen(chat))
    assert outbound.key_values == {}


async def test_a_ban_in_the_middle_of_an_answer_leaves_its_delivery_unknown(
    telegram: TelegramServer,
) -> None:
    telegram.fail("sendMessage", 429, "Too Many Requests: retry after 9", later=1, retry_after=9)
    async with open_outbound(telegram, RateLimiter(0.02, 500, max_wait_s=1)) as outbound:
        with pytest.raises(PlatformUnreachable) as raised:
            await outbound.reply(ANNA).finish(turn("word " * 1_500))
    assert raised.value.retry_after_s == 9
