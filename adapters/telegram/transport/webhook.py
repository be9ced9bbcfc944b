"""Webhook transport: the secret is compared in constant time, and 200 means that the inbox has the update.

https://core.telegram.org/bots/api#setwebhook
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from telegram import WebhookInfo
from telegram.error import InvalidToken, TelegramError

from adapters.telegram.api.client import Client
from adapters.telegram.api.errors import is_unknown_method, translate_error
from adapters.telegram.inbound.dispatcher import ALLOWED_UPDATES
from adapters.telegram.settings import WEBHOOK_PATH
from adapters.telegram.transport.heartbeat import Heartbeat
from adapters.telegram.transport.updates import UpdateHandler, handle_raw_update, update_id_of
from bot.cache import RepeatCounter
from bot.errors import StoreError

log = structlog.get_logger("keepthread.telegram")

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105  the name of a header
CHECK_EVERY_S = 60.0
REPORT_EVERY_S = 60.0


class Webhook:
    """HTTP route for updates, and its registration at Telegram.

    Args:
        handler: returns the handler of updates; None while the bot's identity is not known.
    """

    def __init__(
        self,
        client: Client,
        handler: Callable[[], UpdateHandler | None],
        heartbeat: Heartbeat,
        *,
        url: str,
        secret: str,
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self._client = client
        self._handler = handler
        self._heartbeat = heartbeat
        self.url = url
        self._secret = secret
        self._check_every_s = check_every_s
        self._refusals = RepeatCounter(REPORT_EVERY_S)

    def route(self) -> Route:
        return Route(WEBHOOK_PATH, self._serve, methods=["POST"])

    async def run(self) -> None:
        """Register, and check the registration now and then, until cancelled."""
        await self._retry(self._register)
        while True:
            await self._retry(self._check)
            await asyncio.sleep(self._check_every_s)

    async def _serve(self, request: Request) -> Response:
        given = request.headers.get(SECRET_HEADER, "").encode()
        if not hmac.compare_digest(given, self._secret.encode()):
            if times := self._refusals.count("secret"):
                log.warning("webhook call without the secret", times=times)
            return PlainTextResponse("not for you", 403)
        request.state.is_genuine = True
        try:
            raw = orjson.loads(await request.body())
        except orjson.JSONDecodeError:
            return PlainTextResponse("no update", 400)
        if update_id_of(raw) < 0:
            return PlainTextResponse("no update", 400)
        handle = self._handler()
        if handle is None:
            return PlainTextResponse("not ready", 503, {"Retry-After": "2"})
        try:
            await handle_raw_update(raw, self._client, handle)
        except StoreError as error:
            log.warning("an update waits at Telegram until memory works", error=repr(error))
            return PlainTextResponse("not taken in", 503, {"Retry-After": "2"})
        return PlainTextResponse("ok")

    async def _register(self) -> None:
        await self._client.set_webhook(
            self.url, secret_token=self._secret, allowed_updates=ALLOWED_UPDATES
        )
        log.info("webhook set", url=self.url)

    async def _check(self) -> None:
        try:
            info = await self._client.get_webhook_info()
        except InvalidToken as error:
            if not is_unknown_method(error):
                raise
            await (
                self._client.get_me()
            )  # that server has no such method; this proves connection and token
            self._heartbeat.beat()
            return
        if info.url != self.url:
            log.warning("webhook was changed elsewhere; it is set again", was=info.url)
            await self._register()
        if info.last_error_message and info.pending_update_count and _is_fresh(info):
            self._heartbeat.fail(f"Telegram cannot call the webhook: {info.last_error_message}")
            log.warning("Telegram cannot call the webhook", error=info.last_error_message)
            return
        self._heartbeat.beat()

    async def _retry(self, call: Callable[[], Awaitable[None]]) -> None:
        pause_s = 0.5
        while True:
            try:
                return await call()
            except TelegramError as error:
                ours = translate_error(error)
                self._heartbeat.fail(f"{ours.detail} {ours.cure}".strip())
                log.error("webhook cannot be set or checked", error=ours.detail, cure=ours.cure)
            await asyncio.sleep(pause_s)
            pause_s = min(30.0, pause_s * 2)


def _is_fresh(info: WebhookInfo) -> bool:
    """Telegram keeps the last error for ever; one of the last minutes counts."""
    at = info.last_error_date
    return at is None or datetime.now(UTC) - at < timedelta(minutes=3)
