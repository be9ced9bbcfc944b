"""The SDK's bot, set up for us: addresses, time-outs, budget, quiet logs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from telegram.error import TelegramError
from telegram.ext import ExtBot
from telegram.request import HTTPXRequest

from adapters.telegram.budget import Budget, Care
from adapters.telegram.settings import TelegramSettings

CONNECTIONS = 128
READ_S = 20.0
CONNECT_S = 10.0


class Client(ExtBot[Care]):
    """`ExtBot`, and updates as they come over the wire, so that one broken update spoils no others."""

    async def raw_updates(
        self, offset: int | None, poll_s: int, allowed: Sequence[str]
    ) -> list[Any]:
        """What happened from `offset` on; waits up to `poll_s` seconds. Raises TelegramError."""
        data = {"offset": offset, "timeout": poll_s, "allowed_updates": list(allowed)}
        found: Any = await self._post("getUpdates", data, read_timeout=poll_s + READ_S)
        if not isinstance(found, list):
            raise TelegramError("getUpdates brought no list")
        return found


def make_client(settings: TelegramSettings, budget: Budget) -> tuple[Client, HTTPXRequest]:
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
