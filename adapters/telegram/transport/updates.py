"""Raw updates: their ids, and how both transports hand them on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from telegram import Update

from adapters.telegram.api.client import Client
from adapters.telegram.api.compat import parse_update
from bot.errors import StoreError

log = structlog.get_logger("keepthread.telegram")


UpdateHandler = Callable[[Update], Awaitable[None]]
"""Handles an update. Raises StoreError if it must come again."""


def update_id_of(raw: object) -> int:
    """The id of a raw update; -1 if it has none."""
    id_ = raw.get("update_id") if isinstance(raw, dict) else None
    return id_ if type(id_) is int and id_ >= 0 else -1


async def handle_raw_update(raw: Any, client: Client, handle: UpdateHandler) -> None:
    """Parse and handle a raw update. One that raises is logged and dropped: it would raise for ever.

    Raises:
        StoreError: it must come again.
    """
    if update_id_of(raw) < 0:
        log.error("not an update", kind=type(raw).__name__)
        return
    try:
        await handle(parse_update(raw, client))
    except StoreError:
        raise
    except Exception:
        log.exception("update dropped", update_id=update_id_of(raw))
