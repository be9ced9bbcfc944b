"""Bot API servers that know fewer methods, leave fields out, or send parts that the SDK reads otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from telegram.error import NetworkError

from adapters.telegram.adapter import ADAPTER
from adapters.telegram.api.client import Client, make_client
from adapters.telegram.api.compat import parse_update
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.settings import TelegramSettings
from adapters.telegram.transport.heartbeat import Heartbeat
from adapters.telegram.transport.webhook import Webhook
from bot.conversation import Address, SessionKey, Speaker
from bot.service.http import serve as serve_http
from bot.settings import Settings
from tests.adapters.telegram.harness import ANNA, BEN, GROUP, World, serving
from tests.fakes.model_server import ModelServer
from tests.fakes.telegram.methods import METHODS
from tests.fakes.telegram.server import BOT_ID, TelegramServer
from tests.support.wait import wait_until

OLD_POLL = {"id": "1", "question": "Tea?", "options": [{"text": "Yes"}], "type": "regular"}
"""A poll as servers sent it that are older than the SDK."""


def leave_only(monkeypatch: pytest.MonkeyPatch, method: str, *fields: str) -> None:
    """The server's answer to `method` has these fields only."""
    whole = METHODS[method]

    async def less(server: TelegramServer, parameters: dict[str, Any]) -> Any:
        answer = await whole(server, parameters)
        return {name: answer[name] for name in fields if name in answer}

    monkeypatch.setitem(METHODS, method, less)


def forget(monkeypatch: pytest.MonkeyPatch, *methods: str) -> None:
    for method in methods:
        monkeypatch.delitem(METHODS, method)


async def test_a_server_without_webhooks_menus_drafts_and_typing_is_polled_all_the_same(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget(
        monkeypatch,
        "deleteWebhook",
        "getWebhookInfo",
        "setMyCommands",
        "sendMessageDraft",
        "sendChatAction",
    )
    async with serving(telegram, model, settings, monkeypatch) as world:
        telegram.say(ANNA, ANNA, "hello")
        await world.answered(ANNA, "hello")
        await wait_until(lambda: world.connection.health().ready)
    tries = len(telegram.called("setMyCommands"))
    assert tries == 1  # that it knows no menus will not change


async def test_an_answer_is_sent_once_though_the_server_tells_only_its_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in ("sendMessage", "sendDocument", "editMessageText"):
        leave_only(monkeypatch, method, "message_id")
    world.telegram.say(ANNA, ANNA, "hello")
    await world.answered(ANNA, "hello")
    world.telegram.say(GROUP, BEN, "@keepthread_bot good day")
    await world.answered(GROUP, "good day")
    await world.settled()
    assert len(world.telegram.texts(ANNA)) == len(world.telegram.texts(GROUP)) == 1


async def test_an_administrator_is_known_by_the_status_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_only(monkeypatch, "getChatMember", "status")
    place = Address(SessionKey("telegram", str(BOT_ID), str(GROUP)), "group")
    assert await world.connection.is_admin(place, Speaker(str(ANNA)))
    assert not await world.connection.is_admin(place, Speaker(str(BEN)))


async def test_a_reply_to_a_poll_of_an_older_kind_is_answered(world: World) -> None:
    poll = world.telegram.message(GROUP, BEN, None, poll=OLD_POLL)
    world.telegram.say(
        GROUP, ANNA, "@keepthread_bot what do you think?", reply_to=poll["message_id"]
    )
    await world.answered(GROUP, "what do you think?")


async def test_a_person_whose_message_cannot_be_read_is_told_so(world: World) -> None:
    world.telegram.say(ANNA, ANNA, None, poll=OLD_POLL)
    await world.answered(ANNA, "I cannot read messages of this kind")


async def test_a_file_is_fetched_by_its_path_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_only(monkeypatch, "getFile", "file_id", "file_path")
    file_id = world.telegram.upload("notes.txt", b"the treasure is under the oak")
    world.telegram.say(ANNA, ANNA, None, document={"file_id": file_id, "file_name": "notes.txt"})
    await world.settled()
    await wait_until(lambda: "under the oak" in str(world.model.requests))


async def test_a_page_of_a_gateway_is_logged_in_a_line_and_not_as_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def page(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as gateway:
        port = gateway.sockets[0].getsockname()[1]
        settings = TelegramSettings.load(
            telegram_bot_token="7000:x",
            telegram_api_url=f"http://127.0.0.1:{port}",
        )
        lost, request = make_client(settings, RateLimiter())
        with pytest.raises(NetworkError, match="502"):
            await lost.get_me()
        await request.shutdown()
    assert not caplog.records


# -- updates with little in them -----------------------------------------------------------------


@pytest.fixture
async def client(telegram: TelegramServer) -> AsyncIterator[Client]:
    settings = TelegramSettings.load(
        telegram_bot_token=telegram.token, telegram_api_url=telegram.url
    )
    client, request = make_client(settings, RateLimiter())
    yield client
    await request.shutdown()


def chats(raw: dict[str, Any]) -> dict[str, Any]:
    return {"message_id": 7, "chat": {"id": ANNA}, "from": {"id": ANNA}, **raw}


async def test_a_press_needs_no_more_than_its_message_and_its_button(client: Client) -> None:
    press = {"id": "1", "from": {"id": ANNA}, "message": chats({"text": "?"}), "data": "stop::"}
    query = parse_update({"update_id": 1, "callback_query": press}, client).callback_query
    assert query is not None
    assert query.message is not None
    assert (query.data, query.from_user.id, query.message.message_id) == ("stop::", ANNA, 7)


async def test_a_reaction_needs_no_more_than_what_is_new(client: Client) -> None:
    raw = {"chat": {"id": ANNA, "type": "private"}, "message_id": 7, "new_reaction": []}
    reaction = parse_update({"update_id": 1, "message_reaction": raw}, client).message_reaction
    assert reaction is not None
    assert reaction.message_id == 7


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("photo", [{"file_id": "p"}]),
        ("voice", {"file_id": "v"}),
        ("document", {"file_id": "d"}),
    ],
)
async def test_a_file_needs_no_more_than_its_id(client: Client, kind: str, body: Any) -> None:
    message = parse_update({"update_id": 1, "message": chats({kind: body})}, client).message
    assert message is not None
    assert message.from_user is not None
    assert getattr(message, kind)
    assert (message.chat.type, message.api_kwargs) == ("private", {})


async def test_an_unreadable_part_costs_only_itself(client: Client) -> None:
    raw = chats({"text": "hello", "entities": [{"type": "bold"}], "message_thread_id": 5})
    message = parse_update({"update_id": 1, "message": raw}, client).message
    assert message is not None
    assert (message.text, message.message_thread_id) == ("hello", 5)
    assert message.api_kwargs["unreadable"] == ["entities"]


# -- what cannot be asked there ------------------------------------------------------------------


async def test_a_webhook_is_healthy_where_it_cannot_be_asked_for(
    telegram: TelegramServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(monkeypatch, "getWebhookInfo")
    heartbeat = Heartbeat()
    heartbeat.start()
    webhook = Webhook(client, lambda: None, heartbeat, url="", secret="s", check_every_s=0.05)
    async with serve_http(Starlette(routes=[webhook.route()]), "127.0.0.1", 0) as port:
        webhook.url = f"http://127.0.0.1:{port}/telegram"
        task = asyncio.create_task(webhook.run())
        await wait_until(lambda: heartbeat.health().ready)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: forget(patch, "getWebhookInfo"),
        lambda patch: leave_only(patch, "getWebhookInfo", "url"),
        lambda patch: leave_only(patch, "getMe", "id", "is_bot", "first_name", "username"),
    ],
)
async def test_doctor_finds_nothing_wrong_with_a_server_that_tells_little(
    telegram: TelegramServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], None],
) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", telegram.token)
    monkeypatch.setenv("TELEGRAM_API_URL", telegram.url)
    change(monkeypatch)
    listed = settings.model_copy(update={"bot_allow": ("telegram:41",)})
    checks = await ADAPTER.check(listed, TelegramSettings.load())
    assert {check.state for check in checks} == {"ok"}
    assert not any("cannot be added" in check.detail for check in checks)
