"""Calls of Slack's Web API: each with its budget, its second try where that is safe, its error in our words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError

from adapters.shared.rate_limit import Priority
from adapters.slack.api.errors import translate_error, was_not_carried_out
from adapters.slack.api.rate_limiter import RateLimiter
from bot.errors import PlatformBusy, PlatformUnreachable, StoreError

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

log = structlog.get_logger("keepthread.slack")

RETRY_FOR_S = 90.0
"""For one thing that must be said, pauses Slack asks for included. Slack's longest are a minute."""

MAX_ATTEMPTS = 4
"""Of a call that was not carried out for sure."""

_CALL_ERRORS = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)


ClientFactory = Callable[[str], Awaitable["AsyncWebClient"]]
"""Gives a client that may speak in a workspace, by its id."""


class ResultUnknown(PlatformUnreachable):
    """The call may have been carried out: only its answer was lost."""


class WebApiClient:
    """Calls Slack for one process, in every workspace.

    Args:
        client_of: a client that may speak in a workspace. It retries nothing by itself.
        patience_s: how long one thing that must be said is tried.
        wait_s: before the second try; doubled each time.
    """

    def __init__(
        self,
        client_factory: ClientFactory,
        rate_limiter: RateLimiter | None = None,
        *,
        retry_for_s: float = RETRY_FOR_S,
        wait_s: float = 0.5,
    ) -> None:
        self._client_factory = client_factory
        self.rate_limiter = rate_limiter or RateLimiter()
        self._retry_for_s = retry_for_s
        self._wait_s = wait_s

    async def call(
        self,
        team: str,
        method: str,
        *,
        priority: Priority = "required",
        channel: str = "",
        idempotent: bool = True,
        retry_for_s: float | None = None,
        **args: Any,
    ) -> AsyncSlackResponse:
        """Call `method`; arguments that are None are left out.

        Args:
            channel: where, for methods that have one; posts count for its budget too.
            repeatable: doing it twice is doing it once.

        Raises:
            Unsure: it is not repeatable, and may have been carried out.
            PlatformError: it failed.
        """
        until = time.monotonic() + (self._retry_for_s if retry_for_s is None else retry_for_s)
        given = {name: value for name, value in args.items() if value is not None}
        if channel:
            given["channel"] = channel
        attempt = 0
        while True:
            await self._wait_for_rate_limit(team, method, channel, priority, until)
            client = await self.client(team)
            try:
                return await client.api_call(method, **_form_or_json(method, given))
            except _CALL_ERRORS as error:
                find_own_messages = translate_error(method, error)
                if isinstance(find_own_messages, PlatformBusy):
                    wait_s = (
                        find_own_messages.retry_after_s
                        if find_own_messages.retry_after_s is not None
                        else 1.0
                    )
                    self.rate_limiter.pause(team, method, channel, wait_s)
                    log.info("Slack limits us", method=method, channel=channel, wait_s=wait_s)
                    if priority == "best_effort" or time.monotonic() + wait_s > until:
                        raise find_own_messages from error
                    continue
                is_known = was_not_carried_out(error)
                if isinstance(find_own_messages, PlatformUnreachable) and not (
                    is_known or idempotent
                ):
                    raise ResultUnknown(find_own_messages.detail) from error
                attempt += 1
                is_last = (
                    attempt >= MAX_ATTEMPTS or priority == "best_effort" or time.monotonic() > until
                )
                if not find_own_messages.can_retry or is_last:
                    raise find_own_messages from error
                log.info("trying again", method=method, error=find_own_messages.detail)
                await asyncio.sleep(self._wait_s * 2 ** (attempt - 1))

    async def client(self, team: str) -> AsyncWebClient:
        """A client for that workspace. Raises PlatformError."""
        try:
            return await self._client_factory(team)
        except StoreError as error:
            raise PlatformUnreachable(f"the installation in {team} cannot be read") from error

    async def _wait_for_rate_limit(
        self, team: str, method: str, channel: str, priority: Priority, until: float
    ) -> None:
        """Wait for the budget, and take from it. Raises PlatformBusy if that would be too long."""
        while True:
            wait_s = self.rate_limiter.wait_s(team, method, channel, priority)
            if wait_s <= 0:
                break
            if priority == "best_effort" or time.monotonic() + wait_s > until:
                raise PlatformBusy(f"{method}: no room in our budget", retry_after_s=wait_s)
            await asyncio.sleep(wait_s)
        self.rate_limiter.take(team, method, channel)


def _form_or_json(method: str, args: dict[str, Any]) -> dict[str, Any]:
    """Methods that read, and those about files, take forms; the others JSON."""
    takes_form = method.startswith(("conversations.", "auth.", "files."))
    return {"params": args} if takes_form else {"json": args}
