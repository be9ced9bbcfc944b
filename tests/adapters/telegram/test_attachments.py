"""Contents of messages besides text."""

from __future__ import annotations

from typing import Any

import pytest
from telegram import Message

from adapters.telegram.inbound.parse import ParsedMessage, parse_message
from adapters.telegram.inbound.routing import BotIdentity
from tests.adapters.telegram.harness import ANNA, World, furnished
from tests.fakes.model_server import say
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


FILE = {"file_id": "f", "file_unique_id": "u", "file_size": 12}


@pytest.mark.parametrize(
    ("raw", "kind", "name", "media_type"),
    [
        ({"voice": {**FILE, "duration": 3, "mime_type": "audio/ogg"}}, "audio", "voice.ogg", "audio/ogg"),
        ({"audio": {**FILE, "duration": 3, "file_name": "a.mp3", "mime_type": "audio/mpeg"}}, "audio", "a.mp3", "audio/mpeg"),
        ({"document": {**FILE, "file_name": "n.pdf", "mime_type": "application/pdf"}}, "document", "n.pdf", "application/pdf"),
        ({"document": {**FILE, "file_name": "p.png", "mime_type": "image/png"}}, "image", "p.png", "image/png"),
    ],
)  # fmt: skip
def test_files_are_named_by_kind(
    chats: TelegramServer, raw: dict[str, Any], kind: str, name: str, media_type: str
) -> None:
    (item,) = parsed(chats.message(ANNA, ANNA, **raw)).incoming.attachments
    assert (item.kind, item.name, item.media_type) == (kind, name, media_type)
    assert (item.reference, item.size_bytes) == ("f", 12)


PLACE = {"latitude": 52.5, "longitude": 13.4}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"location": PLACE}, "[location: 52.5, 13.4]"),
        ({"venue": {"location": PLACE, "title": "Cafe", "address": "Street 1"}, "location": PLACE}, "[place: Cafe, Street 1 (52.5, 13.4)]"),
        ({"contact": {"phone_number": "+49", "first_name": "Zoë", "last_name": "Y"}}, "[contact: Zoë Y, +49]"),
        ({"checklist": {"title": "Shop", "tasks": [{"id": 1, "text": "tea"}, {"id": 2, "text": "milk"}]}}, "[checklist: Shop – tea; milk]"),
        ({"dice": {"emoji": "🎲", "value": 4}}, "[🎲 shows 4]"),
        ({"sticker": {**FILE, "width": 1, "height": 1, "type": "regular", "is_animated": False, "is_video": False, "emoji": "🙃", "set_name": "Cats"}}, "[sticker 🙃 from “Cats”]"),
        ({"poll": {"id": "1", "question": "Tea?", "options": [{"text": "yes", "voter_count": 0, "persistent_id": "1"}, {"text": "no", "voter_count": 0, "persistent_id": "2"}], "total_voter_count": 0, "is_closed": False, "is_anonymous": True, "type": "regular", "allows_multiple_answers": False, "allows_revoting": False, "members_only": False}}, "[poll: Tea? – yes; no]"),
    ],
)  # fmt: skip
def test_contents_without_text_are_described(
    chats: TelegramServer, raw: dict[str, Any], words: str
) -> None:
    message = parsed(chats.message(ANNA, ANNA, **raw))
    assert (message.incoming.text, message.incoming.attachments) == (words, ())


def test_unsupported_contents_have_a_name(chats: TelegramServer) -> None:
    video = {**FILE, "width": 1, "height": 1, "duration": 1}
    message = parsed(chats.message(ANNA, ANNA, video=video))
    assert (message.unsupported, message.is_empty) == ("videos", True)


@pytest.mark.parametrize(
    "mime_type", [None, "application/octet-stream", "image/jpg", "image/x-png"]
)
async def test_a_picture_sent_as_a_file_is_seen(world: World, mime_type: str | None) -> None:
    """T11: known by its first bytes, through the whole bot."""
    world.model.default = say("A cat.")
    file_id = world.telegram.upload("cat", b"\x89PNG\r\n\x1a\ncat")
    document = {"file_id": file_id, "file_unique_id": file_id, "file_size": 11}
    if mime_type:
        document["mime_type"] = mime_type
    world.telegram.say(ANNA, ANNA, caption="What is it?", document=document)
    await world.answered(ANNA, "A cat.")
    content = world.model.requests[-1].messages[-1]["content"]
    (url,) = (part["image_url"]["url"] for part in content if part["type"] == "image_url")
    assert url.startswith("data:image/png;base64,")
