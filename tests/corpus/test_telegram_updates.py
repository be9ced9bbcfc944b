"""The corpus' Telegram updates, through the whole service, each in a private chat of its own."""

from __future__ import annotations

from typing import Any

import pytest

from bot.settings import Settings
from tests.adapters.telegram.harness import World, serving
from tests.corpus.items import items_of
from tests.corpus.laws import Verdicts, marker
from tests.fakes.model_server import ModelServer
from tests.fakes.model_server import say as answer
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until

ITEMS = items_of("telegram_update")
FIRST_CHAT = 90_000


async def test_every_telegram_update_gets_one_answer_or_sentence_in_its_place(
    settings: Settings, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ITEMS:
        pytest.skip("the corpus has no telegram_update")
    async with TelegramServer() as telegram:
        chats = [FIRST_CHAT + number for number in range(len(ITEMS))]
        for chat in chats:
            telegram.person(chat, "Ada")
        allowed = tuple(f"telegram:{chat}" for chat in chats)
        async with serving(telegram, model, settings, monkeypatch, bot_allow=allowed) as world:
            model.default = answer("I have read it.")
            verdicts = Verdicts()
            for number, chat in enumerate(chats):
                telegram.say(chat, chat, f"remember {marker(number)}")
            await wait_until(lambda: all(telegram.texts(chat) for chat in chats))
            await world.settled()
            for item, chat in zip(ITEMS, chats, strict=True):
                push(telegram, chat, item)
            await world.settled()
            for number, (item, chat) in enumerate(zip(ITEMS, chats, strict=True)):
                texts = telegram.texts(chat)
                wanted = 1 if "edited_message" in item else 2
                verdicts.check(item["name"], "not answered once", len(texts) == wanted, texts)
                verdicts.check_prompt(item["name"], number, len(ITEMS), prompt_of(number, world))
            letters = await world.service.dead_letters.list()
            verdicts.check("all", "dead letters", not letters, letters)
            verdicts.done()


def push(telegram: TelegramServer, chat: int, item: dict[str, Any]) -> None:
    kind = next(name for name in ("message", "edited_message", "channel_post") if name in item)
    body = dict(item[kind])
    text = body.pop("text", None)
    telegram.push({kind: telegram.message(chat, chat, text, **body)})


def prompt_of(number: int, world: World) -> list[Any]:
    found = [
        request.messages for request in world.model.requests if marker(number) in str(request.body)
    ]
    return found[-1] if found else []
