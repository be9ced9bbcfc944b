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
from adapters.slack.api.errors import in_our_words, was_never_sent
from adapters.slack.api.rate_limiter import Budget
from bot.errors import PlatformBusy, PlatformUnreachable, StoreError

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

log = structlog.get_logger("keepthread.slack")

PATIENCE_S = 90.0
"""For one thing that must be said, pauses Slack asks for included. Slack's longest are a minute."""

TRIES = 4
"""Of a call that was not carried out for sure."""

_CALL_ERRORS = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)


ClientOf = Callable[[str], Awaitable["AsyncWebClient"]]
"""Gives a client that may speak in a workspace, by its id."""


class Unsure(PlatformUnreachable):
    """The call may have been carried out: only its answer was lost."""


class Calls:
    """Calls Slack for one process, in every workspace.

    Args:
        client_of: a client that may speak in a workspace. It retries nothing by itself.
        patience_s: how long one thing that must be said is tried.
        wait_s: before the second try; doubled each time.
    """

    def __init__(
        self,
        client_of: ClientOf,
        budget: Budget | None = None,
        *,
        patience_s: float = PATIENCE_S,
        wait_s: float = 0.5,
    ) -> None:
        self._client_of = client_of
        self.budget = budget or Budget()
        self._patience_s = patience_s
        self._wait_s = wait_s

    async def call(
        self,
        team: str,
        method: str,
        *,
        priority: Priority = "required",
        channel: str = "",
        repeatable: bool = True,
        patience_s: float | None = None,
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
        until = time.monotonic() + (self._patience_s if patience_s is None else patience_s)
        given = {name: value for name, value in args.items() if value is not None}
        if channel:
            given["channel"] = channel
        attempt = 0
        while True:
            await self._room(team, method, channel, priority, until)
            client = await self.client(team)
            try:
                return await client.api_call(method, **_form_or_json(method, given))
            except _CALL_ERRORS as error:
                ours = in_our_words(method, error)
                if isinstance(ours, PlatformBusy):
                    wait_s = ours.retry_after_s if ours.retry_after_s is not None else 1.0
                    self.budget.pause(team, method, channel, wait_s)
                    log.info("Slack limits us", method=method, channel=channel, wait_s=wait_s)
                    if priority == "best_effort" or time.monotonic() + wait_s > until:
                        raise ours from error
                    continue
                is_known = was_never_sent(error)
                if isinstance(ours, PlatformUnreachable) and not (is_known or repeatable):
                    raise Unsure(ours.detail) from error
                attempt += 1
                is_last = attempt >= TRIES or priority == "best_effort" or time.monotonic() > until
                if not ours.can_retry or is_last:
                    raise ours from error
                log.info("trying again", method=method, error=ours.detail)
                await asyncio.sleep(self._wait_s * 2 ** (attempt - 1))

    async def client(self, team: str) -> AsyncWebClient:
        """A client for that workspace. Raises PlatformError."""
        try:
            return await self._client_of(team)
        except StoreError as error:
            raise PlatformUnreachable(f"the installation in {team} cannot be read") from error

    async def _room(
        self, team: str, method: str, channel: str, priority: Priority, until: float
    ) -> None:
        """Wait for the budget, and take from it. Raises PlatformBusy if that would be too long."""
        while True:
            wait_s = self.budget.wait_s(team, method, channel, priority)
            if wait_s <= 0:
                break
            if priority == "best_effort" or time.monotonic() + wait_s > until:
                raise PlatformBusy(f"{method}: no room in our budget", retry_after_s=wait_s)
            await asyncio.sleep(wait_s)
        self.budget.take(team, method, channel)


def _form_or_json(method: str, args: dict[str, Any]) -> dict[str, Any]:
    """Methods that read, and those about files, take forms; the others JSON."""
    takes_form = method.startswith(("conversations.", "auth.", "files."))
    return {"params": args} if takes_form else {"json": args}
