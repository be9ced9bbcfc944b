"""The webhook: only Telegram gets in, and 200 means that the inbox has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from starlette.applications import Starlette
from telegram import Update

from adapters.telegram.api.client import make_client
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.settings import TelegramSettings
from adapters.telegram.transport.heartbeat import Heartbeat
from adapters.telegram.transport.updates import UpdateHandler
from adapters.telegram.transport.webhook import SECRET_HEADER, Webhook
from bot.errors import StoreUnavailable
from bot.service.http import serve as serve_http
from tests.adapters.telegram.harness import ANNA
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until

SECRET = "only-telegram-knows"


@dataclass(slots=True)
class Hook:
    """A webhook at work: where it is, what it took in, how it feels."""

    url: str
    texts: list[str]
    heartbeat: Heartbeat
    failures: list[StoreUnavailable] = field(default_factory=list)

    async def post(self, content: bytes, secret: str | None = SECRET) -> httpx.Response:
        headers = {} if secret is None else {SECRET_HEADER: secret}
        async with httpx.AsyncClient() as client:
            return await client.post(self.url, content=content, headers=headers)


@asynccontextmanager
async def hooked(
    telegram: TelegramServer, *, is_ready: bool = True, check_every_s: float = 0.05
) -> AsyncIterator[Hook]:
    settings = TelegramSettings.load(
        telegram_bot_token=telegram.token, telegram_api_url=telegram.url
    )
    client, request = make_client(settings, RateLimiter())
    heartbeat = Heartbeat()
    heartbeat.start()
    hook = Hook("", [], heartbeat)

    async def take(update: Update) -> None:
        if hook.failures:
            raise hook.failures.pop()
        assert update.message is not None
        hook.texts.append(update.message.text or "")

    def taker() -> UpdateHandler | None:
        return take if is_ready else None

    webhook = Webhook(client, taker, heartbeat, url="", secret=SECRET, check_every_s=check_every_s)
    async with serve_http(Starlette(routes=[webhook.route()]), "127.0.0.1", 0) as port:
        hook.url = webhook.url = f"http://127.0.0.1:{port}/telegram"
        task = asyncio.create_task(webhook.run())
        try:
            yield hook
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await request.shutdown()


async def test_the_bot_registers_its_webhook_with_a_secret(telegram: TelegramServer) -> None:
    async with hooked(telegram) as hook:
        await wait_until(lambda: telegram.webhook.get("url") == hook.url)
        assert telegram.webhook["secret_token"] == SECRET
        assert "message_reaction" in telegram.webhook["allowed_updates"]
        await wait_until(lambda: hook.heartbeat.health().ready)


async def test_an_update_arrives_once(telegram: TelegramServer) -> None:
    async with hooked(telegram) as hook:
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: hook.texts == ["hello"])
        await wait_until(lambda: not telegram.updates)
        assert telegram.webhook_posts == 1


async def test_telegram_is_asked_to_come_again_while_memory_does_not_work(
    telegram: TelegramServer,
) -> None:
    async with hooked(telegram) as hook:
        hook.failures = [StoreUnavailable("no Redis")] * 3
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: hook.texts == ["hello"])
        assert telegram.webhook_posts == 4


async def test_a_call_without_the_secret_is_refused(telegram: TelegramServer) -> None:
    async with hooked(telegram) as hook:
        for secret in (None, "", "wrong", SECRET + "x"):
            response = await hook.post(b'{"update_id": 1}', secret)
            assert response.status_code == 403
        assert hook.texts == []


async def test_a_malformed_call_is_refused_and_stops_nothing(telegram: TelegramServer) -> None:
    async with hooked(telegram) as hook:
        for body in (b"", b"{", b"[]", b"{}", b"\xff"):
            assert (await hook.post(body)).status_code == 400
        assert (await hook.post(b" " * (1024 * 1024 + 1))).status_code == 413
        broken = await hook.post(b'{"update_id": 3, "message": {"message_id": "?"}}')
        assert broken.status_code == 200  # else it would come for ever
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: hook.texts == ["hello"])


async def test_updates_wait_at_telegram_until_the_bots_identity_is_known(
    telegram: TelegramServer,
) -> None:
    async with hooked(telegram, is_ready=False) as hook:
        assert (await hook.post(b'{"update_id": 1}')).status_code == 503


async def test_a_webhook_that_was_changed_elsewhere_is_set_again(telegram: TelegramServer) -> None:
    async with hooked(telegram) as hook:
        await wait_until(lambda: telegram.webhook)
        telegram.webhook["url"] = "https://elsewhere.example/"
        await wait_until(lambda: telegram.webhook["url"] == hook.url)


async def test_health_reports_that_telegram_cannot_call_the_webhook(
    telegram: TelegramServer,
) -> None:
    async with hooked(telegram) as hook:
        await wait_until(lambda: hook.heartbeat.health().ready)
        hook.failures = [StoreUnavailable("no Redis")] * 1_000
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: "503" in hook.heartbeat.health().detail)
        hook.failures = []
        await wait_until(lambda: hook.heartbeat.health().ready)


async def test_a_refused_registration_is_reported_and_tried_again(telegram: TelegramServer) -> None:
    telegram.fail("setWebhook", 400, "Bad Request: bad webhook: HTTPS url must be provided")
    async with hooked(telegram) as hook:
        await wait_until(lambda: "https url" in hook.heartbeat.health().detail)
        await wait_until(lambda: hook.heartbeat.health().ready)


def test_every_process_makes_the_same_secret_from_the_token() -> None:
    first, second = (
        TelegramSettings.load(telegram_bot_token="7000:a", telegram_webhook_url="https://x.example")
        for _ in range(2)
    )
    assert first.webhook_secret == second.webhook_secret
    assert "7000" not in first.webhook_secret
    assert first.webhook_url == "https://x.example/telegram"
    other = TelegramSettings.load(telegram_bot_token="7000:b")
    assert other.webhook_secret != first.webhook_secret
