"""The SDK's bot, set up for us: addresses, time-outs, budget, quiet logs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from telegram.error import TelegramError
from telegram.ext import ExtBot
from telegram.request import HTTPXRequest

from adapters.shared.rate_limit import Priority
from adapters.telegram.api.compat import complete_result
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.settings import TelegramSettings

CONNECTIONS = 128
READ_S = 20.0
CONNECT_S = 10.0


class Client(ExtBot[Priority]):
    """`ExtBot` that is content with less: one broken update spoils no others, nor a part that is left out the rest."""

    async def raw_updates(
        self, offset: int | None, poll_s: int, allowed: Sequence[str], *, read_s: float = READ_S
    ) -> list[Any]:
        """What happened from `offset` on; waits up to `poll_s` seconds, and `read_s` for the rest. Raises TelegramError."""
        data = {"offset": offset, "timeout": poll_s, "allowed_updates": list(allowed)}
        found: Any = await self._post("getUpdates", data, read_timeout=poll_s + read_s)
        if not isinstance(found, list):
            raise TelegramError("getUpdates brought no list")
        return found

    async def status_of(self, chat_id: int, user_id: int) -> str:
        """What somebody is in a chat (core.telegram.org/bots/api#chatmember, `status`). Raises TelegramError."""
        found: Any = await self._post("getChatMember", {"chat_id": chat_id, "user_id": user_id})
        if not isinstance(found, dict):
            raise TelegramError("getChatMember brought no member")
        return str(found.get("status", ""))

    async def _post(self, endpoint: str, data: dict[str, Any] | None = None, **more: Any) -> Any:
        data = {} if data is None else data
        return complete_result(endpoint, data, await super()._post(endpoint, data, **more))


def make_client(settings: TelegramSettings, budget: RateLimiter) -> tuple[Client, HTTPXRequest]:
    """The bot and its connections; close the latter with `shutdown()`."""
    silence_logs()
    request = HTTPXRequest(
        connection_pool_size=CONNECTIONS,
        read_timeout=READ_S,
        write_timeout=READ_S,
        connect_timeout=CONNECT_S,
        pool_timeout=CONNECT_S,
        media_write_timeout=60,
    )
    client = Client(
        settings.token,
        base_url=f"{settings.telegram_api_url}/bot",
        base_file_url=f"{settings.telegram_api_url}/file/bot",
        request=request,
        get_updates_request=request,
        rate_limiter=budget,
    )
    return client, request


def silence_logs() -> None:
    """Each request's address holds the token, and these log addresses below WARNING."""
    for name in ("httpx", "httpcore", "telegram"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logging.WARNING, logger.level))
    # A gateway's page instead of JSON: it would log a traceback, though its error comes to us, who say it in words.
    logging.getLogger("telegram.request").setLevel(logging.CRITICAL)
