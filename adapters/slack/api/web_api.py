"""Client of Slack's Web API: rate limits, retries where they are safe, and translated errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError

from adapters.shared.rate_limit import Priority
from adapters.shared.retry import FIRST_PAUSE_S, TRIES, OutcomeUnknown, retry_call
from adapters.slack.api.errors import translate_error, was_not_carried_out
from adapters.slack.api.rate_limiter import RateLimiter
from bot.cache import TTLCache
from bot.errors import PlatformBusy, PlatformUnreachable, StoreError

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

log = structlog.get_logger("keepthread.slack")

RETRY_FOR_S = 90.0
"""For one required call, pauses that Slack asks for included. Slack's longest are a minute."""

MAX_ATTEMPTS = TRIES
_UNSUPPORTED_TTL_S = 24 * 3600.0
_MAX_UNSUPPORTED = 10_000
_CALL_ERRORS = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)

ClientFactory = Callable[[str], Awaitable["AsyncWebClient"]]
"""Client of the SDK with a workspace's token, by the workspace's id."""


class WebApiClient:
    """Calls Slack for one process, in every workspace.

    Args:
        client_factory: see `ClientFactory`. Its clients retry nothing by themselves.
        retry_for_s: how long a required call is tried.
        pause_s: before the second attempt; doubled each time.
    """

    def __init__(
        self,
        client_factory: ClientFactory,
        rate_limiter: RateLimiter | None = None,
        *,
        retry_for_s: float = RETRY_FOR_S,
        pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._client_factory = client_factory
        self._rate_limiter = RateLimiter() if rate_limiter is None else rate_limiter
        self._retry_for_s = retry_for_s
        self._unsupported: TTLCache[tuple[str, str], None] = TTLCache(
            _MAX_UNSUPPORTED, _UNSUPPORTED_TTL_S
        )
        self.pause_s = pause_s

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
            channel: for methods that have one; posts count against its rate limit, too.
            idempotent: carrying it out twice is carrying it out once.

        Raises:
            OutcomeUnknown: it is not idempotent, and may have been carried out.
            PlatformError: it failed.
        """
        give_up_at = time.monotonic() + (self._retry_for_s if retry_for_s is None else retry_for_s)
        given = {name: value for name, value in args.items() if value is not None}
        if channel:
            given["channel"] = channel

        async def attempt() -> AsyncSlackResponse:
            return await self._attempt(team, method, channel, given, priority, give_up_at)

        if priority == "best_effort":
            return await attempt()
        return await retry_call(
            attempt,
            is_repeatable=idempotent,
            tries=MAX_ATTEMPTS,
            pause_s=self.pause_s,
            give_up_at=give_up_at,
        )

    async def client(self, team: str) -> AsyncWebClient:
        """Client of the SDK for a workspace. Raises PlatformError."""
        try:
            return await self._client_factory(team)
        except StoreError as error:
            raise PlatformUnreachable(f"the installation in {team} cannot be read") from error

    def is_unsupported(self, team: str, method: str) -> bool:
        """Whether `mark_unsupported` was called lately."""
        return (team, method) in self._unsupported

    def mark_unsupported(self, team: str, method: str) -> None:
        """Remember that the app may not call `method` in a workspace, so that it is not tried each time."""
        self._unsupported[team, method] = None

    async def _attempt(
        self,
        team: str,
        method: str,
        channel: str,
        args: dict[str, Any],
        priority: Priority,
        give_up_at: float,
    ) -> AsyncSlackResponse:
        """One attempt, begun anew while Slack limits the rate. Raises as `call`."""
        while True:
            await self._wait_for_rate_limit(team, method, channel, priority, give_up_at)
            client = await self.client(team)
            try:
                return await client.api_call(method, **_form_or_json(method, args))
            except _CALL_ERRORS as error:
                translated = translate_error(method, error)
                if isinstance(translated, PlatformBusy):
                    wait_s = 1.0 if translated.retry_after_s is None else translated.retry_after_s
                    self._rate_limiter.pause(team, method, channel, wait_s)
                    log.info("rate limited", method=method, channel=channel, wait_s=wait_s)
                    if priority == "best_effort" or time.monotonic() + wait_s > give_up_at:
                        raise translated from error
                    continue
                if isinstance(translated, PlatformUnreachable) and not was_not_carried_out(error):
                    raise OutcomeUnknown(translated.detail) from error
                raise translated from error

    async def _wait_for_rate_limit(
        self, team: str, method: str, channel: str, priority: Priority, give_up_at: float
    ) -> None:
        """Wait for the rate limiter, and count the call. Raises PlatformBusy if that would be too long."""
        while True:
            wait_s = self._rate_limiter.wait_s(team, method, channel, priority)
            if wait_s <= 0:
                break
            if priority == "best_effort" or time.monotonic() + wait_s > give_up_at:
                raise PlatformBusy(f"{method}: own rate limit", retry_after_s=wait_s)
            await asyncio.sleep(wait_s)
        self._rate_limiter.count(team, method, channel)


def _form_or_json(method: str, args: dict[str, Any]) -> dict[str, Any]:
    """Methods that read, and those about files, take forms; the others JSON."""
    takes_form = method.startswith(("conversations.", "auth.", "files."))
    return {"params": args} if takes_form else {"json": args}
