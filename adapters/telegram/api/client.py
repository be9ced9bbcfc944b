"""Client of the Bot API: the SDK's bot with its addresses, timeouts, rate limiter and quiet logs."""

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
    """`ExtBot` that returns raw updates and tolerates missing fields in responses."""

    async def fetch_updates(
        self, offset: int | None, poll_s: int, allowed: Sequence[str], *, read_s: float = READ_S
    ) -> list[Any]:
        """Raw updates from `offset` on; waits up to `poll_s` seconds for one, and `read_s` for the response. Raises TelegramError."""
        data = {"offset": offset, "timeout": poll_s, "allowed_updates": list(allowed)}
        updates: Any = await self._post("getUpdates", data, read_timeout=poll_s + read_s)
        if not isinstance(updates, list):
            raise TelegramError("getUpdates brought no list")
        return updates

    async def fetch_status(self, chat_id: int, user_id: int) -> str:
        """A person's status in a chat (core.telegram.org/bots/api#chatmember, `status`). Raises TelegramError."""
        member: Any = await self._post("getChatMember", {"chat_id": chat_id, "user_id": user_id})
        if not isinstance(member, dict):
            raise TelegramError("getChatMember brought no member")
        return str(member.get("status", ""))

    async def fetch_file_path(self, file_id: str) -> tuple[str, int]:
        """A file's path as the server gives it, and its size, 0 if unknown. Raises TelegramError.

        The SDK's `get_file` would look for the path on this machine's disk, and read it from there.
        """
        file: Any = await self._post("getFile", {"file_id": file_id})
        path = file.get("file_path") if isinstance(file, dict) else None
        if not isinstance(path, str):
            raise TelegramError("getFile brought no path")
        size = file.get("file_size")
        return path, size if isinstance(size, int) else 0

    async def _post(self, endpoint: str, data: dict[str, Any] | None = None, **more: Any) -> Any:
        data = {} if data is None else data
        return complete_result(endpoint, data, await super()._post(endpoint, data, **more))


def make_client(settings: TelegramSettings, limiter: RateLimiter) -> tuple[Client, HTTPXRequest]:
    """The bot and its connections; close the latter with `shutdown()`."""
    raise_sdk_log_levels()
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
        rate_limiter=limiter,
    )
    return client, request


def raise_sdk_log_levels() -> None:
    """Keep these loggers at WARNING: below it they log addresses, which hold the token."""
    for name in ("httpx", "httpcore", "telegram"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logging.WARNING, logger.level))
    # For a gateway's page instead of JSON it would log a traceback; the error is raised, and logged in one line.
    logging.getLogger("telegram.request").setLevel(logging.CRITICAL)
