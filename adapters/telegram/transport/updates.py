"""Raw updates as both transports hand them on."""

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


def update_id_of(raw: object) -> int:
    """The id of an update as it came; -1 if it has none."""
    found = raw.get("update_id") if isinstance(raw, dict) else None
    return found if type(found) is int and found >= 0 else -1


async def handle_raw_update(raw: Any, client: Client, take: UpdateHandler) -> None:
    """Deal with an update as it came. One that breaks something is logged and let go: it would for ever.

    Raises:
        StoreError: it must come again.
    """
    if update_id_of(raw) < 0:
        log.error("something that is no update", kind=type(raw).__name__)
        return
    try:
        await take(parse_update(raw, client))
    except StoreError:
        raise
    except Exception:
        log.exception("an update could not be dealt with", update_id=update_id_of(raw))
