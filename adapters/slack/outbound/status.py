"""The signs that an answer is coming: Slack's status below the thread, and its own stop button.

Status: https://docs.slack.dev/reference/methods/assistant.threads.setStatus (goes after two minutes)
Stop button: https://docs.slack.dev/ai/agent-sessions (for apps declared as agents)
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from adapters.slack.api.errors import OF_THE_APP, code_of
from adapters.slack.outbound.messages import Outbound
from adapters.slack.outbound.target import Spot
from bot.errors import PlatformBusy, PlatformError, PlatformUnreachable

log = structlog.get_logger("keepthread.slack")

STATUS = "assistant.threads.setStatus"
SESSION = "agents.sessions.setStatus"

AGAIN_S = 100.0
"""Slack takes a status away after 120 s."""

_CLEAR_PATIENCE_S = 10.0
_DEAF = "missing_agent_session_stopped_event_subscription"


class Sign:
    """Shows below one thread that something is being done, and takes it away again.

    Without a thread there is nothing to show it below.
    """

    def __init__(self, outbound: Outbound, spot: Spot, *, again_s: float = AGAIN_S) -> None:
        self._outbound = outbound
        self._spot = spot
        self._again_s = again_s
        self._words = ""
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_session = False
        self._is_shown = False
        self._has_stop = False

    def say(self, words: str) -> None:
        """Show `words` ("thinking") until `quiet` or `end`."""
        if not self._spot.thread_ts or self._over.is_set():
            return
        self._words = words
        self._news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._keep_showing(), name="slack status")

    async def know_stop(self, wait_s: float = 2.0) -> bool:
        """Whether Slack shows its own stop button there."""
        if self._task is None:
            self.say("writing")
        if self._task is None:
            return False  # nothing is shown there, or not any more
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), wait_s)
        return self._has_stop

    def quiet(self) -> None:
        """The answer itself is to be seen now. The stop button stays."""
        self._over.set()
        self._news.set()

    async def end(self) -> None:
        """Take everything away. Never raises."""
        self.quiet()
        task, self._task = self._task, None
        if task is not None:
            # Not cancelled: a status that arrives late would stay.
            await asyncio.wait({task})
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a status failed", error=repr(error))
        if self._is_shown and (self._spot.team, STATUS) not in self._outbound.lacking:
            self._is_shown = False
            await self._try(STATUS, status="", must=True)
        if self._is_session:
            self._is_session = self._has_stop = False
            await self._try(SESSION, status="active", must=True)

    async def _keep_showing(self) -> None:
        await asyncio.gather(self._show_words(), self._begin_session())
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._again_s)
            if not self._over.is_set():
                await self._show_words()

    async def _show_words(self) -> None:
        self._news.clear()
        if (self._spot.team, STATUS) in self._outbound.lacking:
            return
        words = self._words
        self._is_shown = True
        await self._try(
            STATUS, status=f"is {words}…", loading_messages=loading_messages(words), must=False
        )

    async def _begin_session(self) -> None:
        if (self._spot.team, SESSION) in self._outbound.lacking:
            self._asked.set()
            return
        self._is_session = True
        answer = await self._try(
            SESSION,
            status="processing",
            initiator_user_id=self._spot.recipient or None,
            must=False,
        )
        self._has_stop = answer is not None and answer.get("warning") != _DEAF
        self._asked.set()

    async def _try(self, method: str, *, must: bool, **args: Any) -> Any:
        try:
            return await self._outbound.call(
                self._spot.team,
                method,
                priority="required" if must else "best_effort",
                channel_id=self._spot.channel,
                thread_ts=self._spot.thread_ts,
                patience_s=_CLEAR_PATIENCE_S,
                **args,
            )
        except PlatformError as error:
            if not isinstance(error, PlatformBusy | PlatformUnreachable) and not must:
                # No agent, no scope, no such method: it will not work the next time either.
                self._give_up(method, code_of(error))
            log.info("no sign", method=method, error=error.detail)
            return None

    def _give_up(self, method: str, code: str) -> None:
        if method == SESSION:
            self._is_session = False
        if code in OF_THE_APP:
            self._outbound.lacking.add((self._spot.team, method))


def loading_messages(words: str) -> list[str]:
    """What Slack shows in turn; at most ten."""
    return [f"{words[:1].upper()}{words[1:]}…", f"Still {words}…", "This takes a little…"]
