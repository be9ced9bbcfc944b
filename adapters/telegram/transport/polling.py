"""Long polling that confirms an update only once the inbox has it.

https://core.telegram.org/bots/api#getupdates: an update is confirmed by asking for what comes after it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from telegram.error import Conflict, EndPointNotFound, InvalidToken, RetryAfter, TelegramError

from adapters.telegram.api.client import READ_S, Client
from adapters.telegram.api.errors import (
    CONFLICT_CURE,
    TOKEN_CURE,
    is_unknown_method,
    is_webhook_conflict,
    translate_error,
    wait_of,
)
from adapters.telegram.inbound.dispatcher import ALLOWED_UPDATES
from adapters.telegram.transport.heartbeat import Heartbeat
from adapters.telegram.transport.updates import UpdateHandler, handle_raw_update, update_id_of
from bot.errors import StoreError

log = structlog.get_logger("keepthread.telegram")


MAX_PAUSE_S = 30.0
MAX_REFUSED_PAUSE_S = 60.0


class Polling:
    """Polls for updates, and reports to the heartbeat what is in the way.

    Args:
        handle: see `UpdateHandler`.
        wait_s: the first pause after a failure; it doubles up to half a minute.
        read_s: a poll whose response comes later than this after its time is given up.
    """

    def __init__(
        self,
        client: Client,
        handle: UpdateHandler,
        heartbeat: Heartbeat,
        *,
        poll_s: int = 30,
        wait_s: float = 0.5,
        read_s: float = READ_S,
    ) -> None:
        self._client = client
        self._handle = handle
        self._heartbeat = heartbeat
        self._poll_s = poll_s
        self._first_wait_s = wait_s
        self._read_s = read_s
        self._failures = 0
        self._offset: int | None = None

    async def run(self) -> None:
        """Poll until cancelled."""
        await self._remove_webhook()
        while True:
            # After an error the response comes at once, so that the heartbeat recovers.
            poll_s = 0 if self._heartbeat.error else self._poll_s
            try:
                updates = await self._client.fetch_updates(
                    self._offset, poll_s, ALLOWED_UPDATES, read_s=self._read_s
                )
            except TelegramError as error:
                await self._recover(error)
                continue
            if await self._handle_all(updates):
                self._failures = 0
                self._heartbeat.beat()

    async def _handle_all(self, updates: list[Any]) -> bool:
        """Handle updates in order. False: from some update on they must come again."""
        for raw in updates:
            try:
                await handle_raw_update(raw, self._client, self._handle)
            except StoreError as error:
                self._heartbeat.fail(error.user_text)
                log.warning("updates wait at Telegram until memory works", error=repr(error))
                await self._pause()
                return False
            if update_id_of(raw) >= 0:
                self._offset = update_id_of(raw) + 1
        if updates and all(update_id_of(raw) < 0 for raw in updates):
            self._heartbeat.fail("Telegram sends updates that cannot be confirmed.")
            await self._pause()
            return False
        return True

    async def _remove_webhook(self) -> None:
        """Remove a webhook, without which Telegram gives no updates to polls. Waiting updates are kept."""
        while True:
            try:
                await self._client.delete_webhook()
            except TelegramError as error:
                if is_unknown_method(error):
                    return  # nothing to remove there; a refused token shows with the first poll
                await self._recover(error)
            else:
                return

    async def _recover(self, error: TelegramError) -> None:
        ours = translate_error(error)
        if isinstance(error, Conflict) and is_webhook_conflict(error):
            log.warning("webhook was set elsewhere; it is removed")
            self._heartbeat.fail("A webhook was set for this bot; it is being removed.")
            await self._pause()
            await self._remove_webhook()
        elif isinstance(error, Conflict):
            log.error("cannot poll", error=ours.detail, cure=CONFLICT_CURE)
            self._heartbeat.fail(f"{ours.detail} {CONFLICT_CURE}")
            await self._pause()
        elif isinstance(error, (InvalidToken, EndPointNotFound)):
            log.error("cannot poll", error=ours.detail, cure=TOKEN_CURE)
            self._heartbeat.fail(f"{ours.detail} {TOKEN_CURE}")
            await self._pause(MAX_REFUSED_PAUSE_S)
        elif isinstance(error, RetryAfter):
            self._heartbeat.fail(ours.detail)
            await asyncio.sleep(wait_of(error))
        else:
            log.warning("Telegram cannot be reached", error=ours.detail)
            self._heartbeat.fail(f"Telegram cannot be reached: {ours.detail}")
            await self._pause()

    async def _pause(self, max_s: float = MAX_PAUSE_S) -> None:
        await asyncio.sleep(min(max_s, self._first_wait_s * 2 ** min(self._failures, 12)))
        self._failures += 1
