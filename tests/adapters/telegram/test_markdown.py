"""Entities of messages as Markdown."""

from __future__ import annotations

from typing import Any

import pytest
from telegram import Message

from adapters.telegram.inbound.parse import ParsedMessage, parse_message
from adapters.telegram.inbound.routing import BotIdentity
from tests.adapters.telegram.harness import ANNA, furnished
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


def test_entities_become_markdown(chats: TelegramServer) -> None:
    text = "😀 see code and\nx = 1\n here"
    entities = [
        {"type": "bold", "offset": 3, "length": 3},
        {"type": "code", "offset": 7, "length": 4},
        {"type": "pre", "offset": 16, "length": 5, "language": "python"},
        {"type": "text_link", "offset": 23, "length": 4, "url": "https://x.example/"},
    ]
    incoming = parsed(chats.message(ANNA, ANNA, text, entities=entities)).incoming
    assert (
        incoming.text == "😀 **see** `code` and\n```python\nx = 1\n```\n [here](https://x.example/)"
    )


def test_code_that_holds_a_fence_stays_one_block(chats: TelegramServer) -> None:
    code = "```py\nx\n```"
    entities = [{"type": "pre", "offset": 0, "length": len(code), "language": "md"}]
    incoming = parsed(chats.message(ANNA, ANNA, code, entities=entities)).incoming
    assert incoming.text == f"````md\n{code}\n````"
