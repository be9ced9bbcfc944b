"""References to other messages: replies across chats, quotes and forwards."""

from __future__ import annotations

from typing import Any

import pytest
from telegram import Message

from adapters.telegram.inbound.parse import ParsedMessage, parse_message
from adapters.telegram.inbound.routing import BotIdentity
from tests.adapters.telegram.harness import ANNA, BEN, GROUP, World, furnished
from tests.fakes.model_server import say
from tests.fakes.telegram.server import BOT_ID, TelegramServer

ME = BotIdentity(BOT_ID, "keepthread_bot")
FILE = {"file_id": "f", "file_unique_id": "u", "file_size": 12}
SIZE = {**FILE, "width": 90, "height": 90}
VIDEO = {**FILE, "width": 1, "height": 1, "duration": 1}
CHANNEL = {
    "type": "channel",
    "date": 1,
    "chat": {"id": -5, "type": "channel", "title": "News"},
    "message_id": 3,
}
PERSON = {"type": "user", "date": 1, "sender_user": {"id": 5, "is_bot": False, "first_name": "Zoë"}}
HIDDEN = {"type": "hidden_user", "date": 1, "sender_user_name": "Zoë"}
CHAT = {"type": "chat", "date": 1, "sender_chat": {"id": -6, "type": "supergroup", "title": "Crew"}}
BOLD = [{"type": "bold", "offset": 0, "length": 3}]


@pytest.fixture
def chats() -> TelegramServer:
    """Only its knowledge of chats and messages; it serves nothing here."""
    return furnished(TelegramServer())


def parsed(raw: dict[str, Any]) -> ParsedMessage:
    found = parse_message(Message.de_json(raw, None), ME, 7)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("external", "more", "quoted", "files"),
    [
        ({"origin": CHANNEL, "photo": [SIZE]}, {}, "News: [a message]", ["image"]),
        ({"origin": PERSON, "voice": {**FILE, "duration": 1}}, {}, "Zoë: [a message]", ["audio"]),
        ({"origin": HIDDEN, "document": {**FILE, "file_name": "a.txt"}}, {}, "Zoë: [a message]", ["document"]),
        ({"origin": CHAT}, {"quote": {"text": "the moon", "position": 0}}, "Crew: the moon", []),
        ({"origin": CHAT}, {"quote": {"text": "the moon", "position": 0, "entities": BOLD}}, "Crew: **the** moon", []),
        ({"origin": CHANNEL, "photo": [SIZE]}, {"quote": {"text": "a cat", "position": 0}}, "News: a cat", ["image"]),
        ({"origin": HIDDEN, "location": {"latitude": 52.5, "longitude": 13.4}}, {}, "Zoë: [location: 52.5, 13.4]", []),
        ({"origin": HIDDEN, "video": VIDEO}, {}, "Zoë: [I cannot read videos]", []),
        ({"origin": {**HIDDEN, "sender_user_name": "Z]\n[oë"}}, {}, "Z) (oë: [a message]", []),
        ({"origin": HIDDEN, "rich_message": {"blocks": [{"type": "paragraph", "text": "hi"}]}}, {}, "Zoë: hi", []),
    ],
)  # fmt: skip
def test_a_message_of_another_chat_is_quoted_with_its_source(
    chats: TelegramServer,
    external: dict[str, Any],
    more: dict[str, Any],
    quoted: str,
    files: list[str],
) -> None:
    """T6: its words, its media and whom it is from, in private as in groups."""
    for place in (ANNA, GROUP):
        raw = chats.message(place, ANNA, "is it true?", external_reply=external, **more)
        incoming = parsed(raw).incoming
        assert (incoming.quoted, incoming.text) == (quoted, "is it true?")
        assert [item.kind for item in incoming.attachments] == files


async def test_a_picture_of_another_chat_is_seen(world: World) -> None:
    """T6: the model gets the picture that the question is about."""
    world.model.default = say("A cat.")
    photo = world.telegram.upload("cat.jpg", b"\xff\xd8\xff\xe0cat")
    external = {"origin": CHANNEL, "photo": [{**SIZE, "file_id": photo, "file_unique_id": photo}]}
    world.telegram.say(ANNA, ANNA, "What is it?", external_reply=external)
    await world.answered(ANNA, "A cat.")
    content = world.model.requests[-1].messages[-1]["content"]
    assert [part["type"] for part in content].count("image_url") == 1
    assert "> News:" in world.prompt()


def test_media_that_cannot_be_read_are_named_in_a_quote(chats: TelegramServer) -> None:
    """T6: also within the same chat the model knows that there was something."""
    said = chats.message(GROUP, BEN, video=VIDEO, caption="my cat")
    raw = chats.message(GROUP, ANNA, "@keepthread_bot nice?", reply_to=said["message_id"])
    assert parsed(raw).incoming.quoted == "Ben: [I cannot read videos]\nmy cat"


@pytest.mark.parametrize("origin", [CHANNEL, PERSON, HIDDEN, CHAT])
@pytest.mark.parametrize("place", [ANNA, GROUP])
@pytest.mark.parametrize(
    "text", ["/reset clears all that the bot knows", "/stop", "/new@keepthread_bot"]
)
def test_a_forward_is_never_a_command(
    chats: TelegramServer, text: str, place: int, origin: dict[str, Any]
) -> None:
    """T12: what somebody else wrote is read, and runs nothing."""
    message = parsed(chats.message(place, ANNA, text, forward_origin=origin))
    assert message.incoming.kind == "message"
    assert message.incoming.text.endswith(f"]\n{text}")
    assert message.addressee == ("this_bot" if place == ANNA else "nobody")


def test_a_forwarded_caption_or_rich_message_is_no_command_either(chats: TelegramServer) -> None:
    """T12: in whatever form its words come."""
    command = [{"type": "bot_command", "offset": 0, "length": 6}]
    for more in (
        {"photo": [SIZE], "caption": "/reset", "caption_entities": command},
        {"rich_message": {"blocks": [{"type": "paragraph", "text": "/reset"}]}},
    ):
        message = parsed(chats.message(ANNA, ANNA, forward_origin=HIDDEN, **more))
        assert message.incoming.kind == "message"
        assert message.incoming.text == "[forwarded from Zoë]\n/reset"


async def test_a_forwarded_command_is_answered_and_forgets_nothing(world: World) -> None:
    """T12: through the whole bot."""
    world.telegram.say(ANNA, ANNA, "Remember seven")
    await world.answered(ANNA, "Remember seven")
    world.model.default = say("It explains a command.")
    world.telegram.say(ANNA, ANNA, "/reset clears all that the bot knows", forward_origin=HIDDEN)
    await world.answered(ANNA, "It explains a command.")
    assert len(await world.remembered(ANNA)) == 2
