"""Parsing of messages: the conversation, the addressee, commands and quotes."""

from __future__ import annotations

from typing import Any

import pytest
from telegram import Message

from adapters.telegram.inbound.parse import ParsedMessage, parse_message
from adapters.telegram.inbound.routing import BotIdentity
from tests.adapters.telegram.harness import ANNA, BEN, FORUM, GROUP, furnished
from tests.fakes.telegram.server import BOT_ID, TelegramServer

ME = BotIdentity(BOT_ID, "keepthread_bot")


@pytest.fixture
def chats() -> TelegramServer:
    """Only its knowledge of chats and messages; it serves nothing here."""
    return furnished(TelegramServer())


def parse(raw: dict[str, Any], *, edited: bool = False) -> ParsedMessage | None:
    message = Message.de_json(raw, None)
    return parse_message(message, ME, 7, edited=edited)


def parsed(raw: dict[str, Any], *, edited: bool = False) -> ParsedMessage:
    found = parse(raw, edited=edited)
    assert found is not None
    return found


def test_a_private_message_is_for_the_bot_and_keyed_by_chat(chats: TelegramServer) -> None:
    message = parsed(chats.message(ANNA, ANNA, "Hello", message_id=77))
    incoming = message.incoming
    assert message.addressee == "this_bot"
    assert str(incoming.session) == f"telegram/{BOT_ID}/41/"
    assert (incoming.text, incoming.message_id, incoming.kind) == ("Hello", "77", "message")
    assert incoming.event_id == f"telegram:{BOT_ID}:7"
    assert message.dedupe == (f"telegram:{BOT_ID}:41:77",)
    assert not incoming.address.shared
    assert (incoming.speaker.id, incoming.speaker.name, incoming.speaker.account) == (
        "41",
        "Anna",
        "",
    )


def test_a_private_topic_is_a_conversation_of_its_own(chats: TelegramServer) -> None:
    incoming = parsed(chats.message(ANNA, ANNA, "Hello", thread=9)).incoming
    assert incoming.session.thread == "9"


def test_a_thread_id_is_a_topic_only_if_the_message_says_so(chats: TelegramServer) -> None:
    in_topic = parsed(chats.message(FORUM, BEN, "a", thread=5)).incoming
    in_chain = parsed(chats.message(GROUP, BEN, "a", message_thread_id=5)).incoming
    assert in_topic.session.thread == "5"
    assert in_chain.session.thread == ""
    assert in_chain.address.details == {"chain": "5"}


@pytest.mark.parametrize(
    ("text", "addressee", "left"),
    [
        ("@keepthread_bot what is this?", "this_bot", "what is this?"),
        ("@KeepThread_Bot, what is this?", "this_bot", "what is this?"),
        ("what is this, @keepthread_bot", "this_bot", "what is this,"),
        ("what does @keepthread_bot do here?", "this_bot", "what does @keepthread_bot do here?"),
        ("😀😀 @keepthread_bot hi", "this_bot", "😀😀 @keepthread_bot hi"),
        ("@keepthread_bot_two hi", "nobody", "@keepthread_bot_two hi"),
        ("keepthread_bot is a bot", "nobody", "keepthread_bot is a bot"),
        ("hello all", "nobody", "hello all"),
    ],
)
def test_a_message_in_a_group_is_for_the_bot_that_it_mentions(
    chats: TelegramServer, text: str, addressee: str, left: str
) -> None:
    message = parsed(chats.message(GROUP, BEN, text))
    assert (message.addressee, message.incoming.text) == (addressee, left)


def test_a_mention_in_a_caption_counts_too(chats: TelegramServer) -> None:
    caption = "@keepthread_bot look"
    entities = [{"type": "mention", "offset": 0, "length": 15}]
    photo = [{"file_id": "p", "file_unique_id": "p", "width": 9, "height": 9}]
    raw = chats.message(GROUP, BEN, caption=caption, caption_entities=entities, photo=photo)
    message = parsed(raw)
    assert (message.addressee, message.incoming.text) == ("this_bot", "look")


def test_a_mention_of_a_bot_by_its_id_counts_too(chats: TelegramServer) -> None:
    user = {"id": BOT_ID, "is_bot": True, "first_name": "Keepthread"}
    entities = [{"type": "text_mention", "offset": 0, "length": 2, "user": user}]
    assert parsed(chats.message(GROUP, BEN, "Kt hi", entities=entities)).addressee == "this_bot"


def test_a_reply_to_the_bot_is_for_the_bot_and_quotes_the_message(
    chats: TelegramServer,
) -> None:
    said = chats.message(GROUP, BEN, "the moon is made of cheese")
    said["from"] = chats.me()
    message = parsed(chats.message(GROUP, ANNA, "really?", reply_to=said["message_id"]))
    assert message.addressee == "this_bot"
    assert message.incoming.quoted == "the moon is made of cheese"


def test_a_reply_to_a_person_is_not_for_the_bot_but_is_quoted(chats: TelegramServer) -> None:
    said = chats.message(GROUP, BEN, "the moon")
    message = parsed(chats.message(GROUP, ANNA, "really?", reply_to=said["message_id"]))
    assert message.addressee == "nobody"
    asked = parsed(
        chats.message(GROUP, ANNA, "@keepthread_bot is it?", reply_to=said["message_id"])
    )
    assert asked.incoming.quoted == "Ben: the moon"


def test_only_the_part_that_was_picked_is_quoted(chats: TelegramServer) -> None:
    said = chats.message(ANNA, ANNA, "one two three")
    raw = chats.message(
        ANNA, ANNA, "why?", reply_to=said["message_id"], quote={"text": "two", "position": 4}
    )
    assert parsed(raw).incoming.quoted == "two"


def test_a_message_in_a_topic_that_the_bot_opened_is_no_reply(
    chats: TelegramServer,
) -> None:
    opened = chats.message(FORUM, BEN, None, thread=5)
    opened |= {"from": chats.me(), "forum_topic_created": {"name": "Cats", "icon_color": 1}}
    message = parsed(
        chats.message(FORUM, BEN, "just talking", thread=5, reply_to=opened["message_id"])
    )
    assert (message.addressee, message.incoming.quoted, message.replied_to) == ("nobody", "", None)


def test_a_picture_that_is_replied_to_comes_along(chats: TelegramServer) -> None:
    photo = [
        {"file_id": "small", "file_unique_id": "a", "width": 90, "height": 60},
        {"file_id": "large", "file_unique_id": "b", "width": 1280, "height": 960, "file_size": 9},
    ]
    said = chats.message(GROUP, BEN, photo=photo)
    raw = chats.message(GROUP, ANNA, "@keepthread_bot what is it?", reply_to=said["message_id"])
    (image,) = parsed(raw).incoming.attachments
    assert (image.kind, image.reference, image.size_bytes) == ("image", "large", 9)


@pytest.mark.parametrize(
    ("text", "kind", "command", "addressee"),
    [
        ("/reset", "command", "reset", "this_bot"),
        ("/Export json", "command", "export json", "this_bot"),
        ("/reset@keepthread_bot now", "command", "reset now", "this_bot"),
        ("/reset@KEEPTHREAD_BOT", "command", "reset", "this_bot"),
        ("/reset@other_bot", "command", "reset", "other_bot"),
    ],
)
def test_commands_lose_slash_and_name(
    chats: TelegramServer, text: str, kind: str, command: str, addressee: str
) -> None:
    message = parsed(chats.message(GROUP, BEN, text))
    assert (message.incoming.kind, message.incoming.text, message.addressee) == (
        kind,
        command,
        addressee,
    )


def test_a_path_is_no_command(chats: TelegramServer) -> None:
    entities = [{"type": "bot_command", "offset": 0, "length": 4}]
    message = parsed(chats.message(ANNA, ANNA, "/usr/bin is full", entities=entities))
    assert (message.incoming.kind, message.incoming.text) == ("message", "/usr/bin is full")


def test_a_slash_that_telegram_does_not_mark_is_text(chats: TelegramServer) -> None:
    raw = chats.message(ANNA, ANNA, "/" + "x" * 40 + " hello")
    raw.pop("entities", None)
    assert parsed(raw).incoming.kind == "message"


def test_an_edited_message_is_an_edit_and_an_edited_command_is_nothing(
    chats: TelegramServer,
) -> None:
    edited = chats.message(ANNA, ANNA, "now like this", edit_date=1_700_000_000)
    incoming = parsed(edited, edited=True).incoming
    assert (incoming.kind, incoming.text, incoming.sent_at.timestamp()) == (
        "edit",
        "now like this",
        1_700_000_000,
    )
    assert parse(chats.message(ANNA, ANNA, "/reset"), edited=True) is None


def test_an_anonymous_administrator_speaks_as_the_group(chats: TelegramServer) -> None:
    incoming = parsed(chats.message(GROUP, GROUP, "/reset@keepthread_bot")).incoming
    assert incoming.speaker.id == str(GROUP)


def test_messages_of_bots_and_of_telegram_itself_are_ignored(chats: TelegramServer) -> None:
    raw = chats.message(GROUP, BEN, "beep")
    raw["from"] = {"id": 5, "is_bot": True, "first_name": "Other"}
    assert parse(raw) is None


def test_a_post_of_the_channel_whose_comments_are_here_is_for_nobody(chats: TelegramServer) -> None:
    raw = chats.message(GROUP, BEN, "@keepthread_bot news!", is_automatic_forward=True)
    raw["sender_chat"] = {"id": -1009, "type": "channel", "title": "News"}
    assert parsed(raw).addressee == "nobody"


def test_a_forwarded_message_names_its_origin(chats: TelegramServer) -> None:
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Zoë"}
    incoming = parsed(chats.message(ANNA, ANNA, "news", forward_origin=origin)).incoming
    assert incoming.text == "[forwarded from Zoë]\nnews"
