"""Parts of a message that Telegram refuses: the message is sent without them, and the place is not given up."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.telegram.api.errors import PartRefused, translate_error
from bot.conversation import Turn
from bot.errors import PlaceGone, PlatformError
from tests.adapters.telegram.harness import ANNA, BEN, FORUM, GROUP
from tests.adapters.telegram.outbound_harness import OutboundHarness, turn
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until

GOOD, BAD = "https://good.example/a", "https://refused.example/b"
ANSWER = f"**bold** [good]({GOOD}) and [bad]({BAD}) `code`"
WRITTEN = f"bold good and bad ({BAD}) code"


def refuse_link(telegram: TelegramServer, method: str = "sendMessage", times: int = 1) -> None:
    """Telegram refuses an address that by its rules looks right."""
    telegram.fail(method, 400, f"Bad Request: entity URL '{BAD}' is invalid: no such host", times)


def kinds(entities: list[dict[str, Any]]) -> list[str]:
    return [entity["type"] for entity in entities]


@pytest.mark.parametrize("topic", [99, 1])
async def test_an_answer_to_a_thread_that_is_refused_is_sent_as_a_reply_outside_of_it(
    outbound: OutboundHarness, telegram: TelegramServer, topic: int
) -> None:
    """T2: “message thread not found” does not mean that nobody is there. 1 is the main room of a forum."""
    asked = telegram.message(FORUM, BEN, "?")["message_id"]
    delivery = await outbound.reply(FORUM, topic, reply_to=asked).finish(turn("word " * 1_500))
    shown = telegram.seen(FORUM)
    assert [message.reply_to for message in shown] == [asked, None]
    assert delivery.message_ids == tuple(str(message.id) for message in shown)
    assert len(telegram.called("sendMessage")) == 3, "the thread is refused once"


async def test_an_answer_to_a_closed_topic_is_sent_as_a_reply_outside_of_it(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T2: the group is there, and so is the person who asked."""
    telegram.chat(FORUM).closed_topics.add(5)
    asked = telegram.message(FORUM, BEN, "?", thread=5)["message_id"]
    await outbound.reply(FORUM, 5, reply_to=asked).finish(turn("hello"))
    (shown,) = telegram.seen(FORUM)
    assert (shown.text, shown.reply_to) == ("hello", asked)


async def test_an_answer_to_a_topic_of_a_private_chat_that_is_gone_arrives(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T2: drafts, too, are shown outside of it."""
    asked = telegram.message(ANNA, ANNA, "?")["message_id"]
    reply = outbound.reply(ANNA, 7, mode="draft", reply_to=asked)
    await reply.show("hel")
    await wait_until(lambda: "hel" in telegram.chat(ANNA).drafts_shown)
    await reply.finish(turn("hello"))
    (shown,) = telegram.seen(ANNA)
    assert (shown.text, shown.reply_to) == ("hello", asked)


async def test_a_file_in_a_thread_that_is_refused_arrives(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T2: exports, too."""
    await outbound.reply(FORUM, 99).post("Here:", file=("a.md", b"# all"))
    (shown,) = telegram.seen(FORUM)
    assert shown.file == ("a.md", b"# all")


@pytest.mark.parametrize(
    ("description", "part"),
    [
        ("message to be replied not found", "reply"),
        ("replied message not found", "reply"),
        ("REPLY_MESSAGE_ID_INVALID", "reply"),
        ("QUOTE_TEXT_INVALID", "quote"),
        ("message quote not found", "quote"),
        ("BUTTON_DATA_INVALID", "keyboard"),
        ("can't parse inline keyboard button: something", "keyboard"),
        ("REPLY_MARKUP_TOO_LONG", "keyboard"),
        ("EFFECT_ID_INVALID", "effect"),
        ("TOPIC_DELETED", "thread"),
        ("message thread not found", "thread"),
        ("ENTITY_BOUNDS_INVALID", "entity"),
        ("something that no version has said before", "any"),
    ],
)
async def test_an_answer_is_sent_without_the_part_that_is_refused(
    outbound: OutboundHarness, telegram: TelegramServer, description: str, part: str
) -> None:
    """T2: a reply target, a quote, a keyboard, an effect: the words arrive, once."""
    telegram.fail("sendMessage", 400, f"Bad Request: {description}")
    asked = telegram.message(GROUP, BEN, "?")["message_id"]
    await outbound.reply(GROUP, reply_to=asked).finish(turn("**hello**"))
    (shown,) = telegram.seen(GROUP)
    assert shown.text == "hello"
    if part in ("reply", "quote"):
        assert (shown.reply_to, len(shown.data), kinds(shown.entities)) == (None, 2, ["bold"])
    if part == "keyboard":
        assert (shown.reply_to, shown.data, kinds(shown.entities)) == (asked, [], ["bold"])
    if part == "entity":
        assert (shown.reply_to, len(shown.data), shown.entities) == (asked, 2, [])


async def test_several_refused_parts_are_dropped_one_after_the_other(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T2: and a message that is refused whatever is dropped ends in an error."""
    for description in ("message thread not found", "reply message not found", "BUTTON_INVALID"):
        telegram.fail("sendMessage", 400, f"Bad Request: {description}")
    await outbound.reply(FORUM, 5, reply_to=3).finish(turn("hello"))
    assert telegram.texts(FORUM) == ["hello"]
    telegram.fail("sendMessage", 400, "Bad Request: no", times=20)
    with pytest.raises(PlatformError) as raised:
        await outbound.reply(FORUM, 5, reply_to=3).finish(turn("hello"))
    assert isinstance(raised.value, PartRefused)
    assert len(telegram.called("sendMessage")) <= 4 + 3


@pytest.mark.parametrize(
    ("status", "description"),
    [
        (403, "Forbidden: bot was blocked by the user"),
        (400, "Bad Request: chat not found"),
        (400, "Bad Request: CHAT_WRITE_FORBIDDEN"),
        (400, "Bad Request: not enough rights to send text messages to the chat"),
    ],
)
async def test_a_place_that_is_gone_is_not_tried_without_parts(
    outbound: OutboundHarness, telegram: TelegramServer, status: int, description: str
) -> None:
    """T2: only there is nobody."""
    telegram.fail("sendMessage", status, description)
    with pytest.raises(PlaceGone):
        await outbound.reply(FORUM, 5, reply_to=3).finish(turn("hello"))
    assert len(telegram.called("sendMessage")) == 1


async def test_only_the_refused_link_is_dropped_and_its_address_written_out(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T3: the other link, the emphasis and the code stay."""
    refuse_link(telegram)
    await outbound.reply(ANNA).finish(turn(ANSWER))
    (shown,) = telegram.seen(ANNA)
    assert shown.text == WRITTEN
    assert kinds(shown.entities) == ["bold", "text_link", "code"]
    assert [e["url"] for e in shown.entities if e["type"] == "text_link"] == [GOOD]
    raw = shown.text.encode("utf-16-le")
    code = shown.entities[-1]
    assert (
        raw[2 * code["offset"] : 2 * (code["offset"] + code["length"])].decode("utf-16-le")
        == "code"
    )


async def test_a_refused_link_costs_one_refused_call_however_often_it_is_shown(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T3: previews and the answer remember it."""
    refuse_link(telegram, "sendMessageDraft")
    reply = outbound.reply(ANNA, mode="draft")
    chat = telegram.chat(ANNA)
    for piece, end in ((ANSWER, "code"), (" and", "and"), (" more", "more"), (" words", "words")):
        await reply.show(piece)
        await wait_until(lambda end=end: chat.drafts_shown and chat.drafts_shown[-1].endswith(end))
    await reply.finish(turn(ANSWER + " and more words"))
    assert chat.drafts_shown[0] == WRITTEN
    assert telegram.texts(ANNA) == [WRITTEN + " and more words"]
    assert not [call for call in telegram.called("sendMessage") if BAD in str(call.get("entities"))]


async def test_a_refused_link_in_an_edited_preview_is_written_out(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T3: where answers grow by edits."""
    reply = outbound.reply(GROUP)
    await reply.show("One")
    await wait_until(lambda: telegram.seen(GROUP))
    refuse_link(telegram, "editMessageText")
    await reply.finish(turn(ANSWER))
    (shown,) = telegram.seen(GROUP)
    assert shown.text == WRITTEN


async def test_links_are_written_out_where_telegram_does_not_say_which_it_refuses(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T3: no address vanishes, and the other formatting stays."""
    telegram.fail("sendMessage", 400, "Bad Request: ENTITY_TEXTURL_INVALID")
    await outbound.reply(ANNA).finish(turn(ANSWER))
    (shown,) = telegram.seen(ANNA)
    assert shown.text == f"bold good ({GOOD}) and bad ({BAD}) code"
    assert kinds(shown.entities) == ["bold", "code"]


async def test_an_answer_that_its_addresses_make_too_long_takes_another_message(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T3: nothing is cut off, and the buttons are under the last message."""
    refuse_link(telegram)
    delivery = await outbound.reply(ANNA).finish(turn(f"{'x' * 4_080} [bad]({BAD})"))
    first, second = telegram.seen(ANNA)
    assert f"{first.text} {second.text}".split() == ["x" * 4_080, "bad", f"({BAD})"]
    assert (first.data, len(second.data)) == ([], 2)
    assert delivery.message_ids == (str(first.id), str(second.id))


@pytest.mark.parametrize(
    "url",
    ["http://localhost:3000/login", "ftp://e.example/a", "tg://user?id=42", "https://a.example:0/"],
)
async def test_an_address_that_telegram_is_known_to_refuse_costs_no_refused_call(
    outbound: OutboundHarness, telegram: TelegramServer, url: str
) -> None:
    """T3, L6: by the rules of its server; and nobody is mentioned."""
    answer: Turn = turn(f"open [the app]({url}), **now**")
    await outbound.reply(ANNA).finish(answer)
    (shown,) = telegram.seen(ANNA)
    assert shown.text == f"open the app ({url}), now"
    assert kinds(shown.entities) == ["bold"]
    assert len(telegram.called("sendMessage")) == 1


async def test_a_link_around_code_keeps_its_address(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T4: Telegram keeps one of two such entities over the same words."""
    await outbound.reply(ANNA).finish(turn(f"[`keepthread`]({GOOD})"))
    (shown,) = telegram.seen(ANNA)
    assert [(e["type"], e.get("url")) for e in shown.entities] == [("text_link", GOOD)]


def test_a_refusal_names_its_part() -> None:
    from telegram.error import BadRequest

    error = translate_error(BadRequest("Button_data_invalid"))
    assert isinstance(error, PartRefused)
    assert error.part == "keyboard"
