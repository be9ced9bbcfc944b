"""The corpus' model streams and endpoint errors, through the whole service, each asked for in a chat of its own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web

from bot.settings import Settings
from tests.adapters.telegram.harness import serving
from tests.corpus.items import Item, items_of
from tests.corpus.laws import Verdicts, marker
from tests.fakes.model_server import Exchange, ModelServer
from tests.fakes.model_server import say as answer
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until

FIRST_CHAT = 90_000


@pytest.mark.parametrize("kind", ["model_stream", "endpoint_error"])
async def test_whatever_the_endpoint_does_each_person_is_told_once(
    kind: str, settings: Settings, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = items_of(kind)
    if not items:
        pytest.skip(f"the corpus has no {kind}")
    async with TelegramServer() as telegram:
        chats = [FIRST_CHAT + number for number in range(len(items))]
        for chat in chats:
            telegram.person(chat, "Ada")
        allowed = tuple(f"telegram:{chat}" for chat in chats)
        model.default = Responder(items)
        async with serving(
            telegram, model, settings, monkeypatch, bot_allow=allowed, bot_max_attempts=2
        ) as world:
            for number, chat in enumerate(chats):
                telegram.say(chat, chat, f"say {marker(number)}")
            await world.settled()
            await wait_until(lambda: all(telegram.texts(chat) for chat in chats))
            verdicts = Verdicts()
            for number, (item, chat) in enumerate(zip(items, chats, strict=True)):
                texts = telegram.texts(chat)
                is_growing = any(
                    "stop:" in data for shown in telegram.seen(chat) for data in shown.data
                )
                verdicts.check(item["name"], "not told once", len(texts) == 1, texts)
                verdicts.check(item["name"], "left unfinished", not is_growing, texts)
                others = [m for m in re.findall(r"zebra\d{4}x", str(texts)) if m != marker(number)]
                verdicts.check(item["name"], "told of another conversation", not others, texts)
            verdicts.done()


class Responder:
    """Behaves as an item says, for the chat that asks for it."""

    def __init__(self, items: list[Item]) -> None:
        self._items = items
        self._asked = [0] * len(items)

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        found = re.findall(r"zebra(\d{4})x", str(exchange.received.messages))
        if not found:
            return await answer("A summary.")(exchange)
        number = int(found[-1])
        item = self._items[number]
        self._asked[number] += 1
        if self._asked[number] > item.get("requests", 10**6):
            return await answer("It works again.")(exchange)
        if item["kind"] == "endpoint_error":
            body = str(item.get("body", "")).encode()
            headers = {"Content-Type": "application/json", **item.get("headers", {})}
            return web.Response(status=item["status"], body=body, headers=headers)
        return await _stream(exchange, item)


async def _stream(exchange: Exchange, item: dict[str, Any]) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", **item.get("headers", {})}
    response = web.StreamResponse(status=item.get("status", 200), headers=headers)
    await response.prepare(exchange.request)
    for chunk in item["chunks"]:
        text = chunk if isinstance(chunk, str) else str(chunk)
        is_line = text.startswith((":", "data:", "event:", "id:", "retry:")) or not text.strip()
        line = text if is_line or text.endswith("\n") else f"data: {text}\n\n"
        if is_line and not text.endswith("\n"):
            line = f"{text}\n\n"
        await response.write(line.encode("utf-8", "surrogatepass"))
    await response.write_eof()
    return response
