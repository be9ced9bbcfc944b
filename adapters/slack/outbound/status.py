"""Status of an answer that is being written: Slack's line below the thread, and Slack's own stop button.

Status: https://docs.slack.dev/reference/methods/assistant.threads.setStatus (Slack clears it after two minutes)
Stop button: https://docs.slack.dev/ai/agent-sessions (for apps declared as agents)
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from adapters.slack.api.errors import APP_WIDE_REFUSALS, code_of
from adapters.slack.api.web_api import WebApiClient
from adapters.slack.outbound.target import Target
from bot.errors import PlatformBusy, PlatformError, PlatformUnreachable

log = structlog.get_logger("keepthread.slack")

STATUS = "assistant.threads.setStatus"
SESSION = "agents.sessions.setStatus"

REFRESH_S = 100.0
"""Slack clears a status after 120 s."""

_RETRY_FOR_S = 10.0
_NO_STOP_EVENT = "missing_agent_session_stopped_event_subscription"


class StatusIndicator:
    """Status line and agent session of one thread. Without a thread, there is none.

    Args:
        refresh_s: the status is set anew after so long.
    """

    def __init__(self, api: WebApiClient, target: Target, *, refresh_s: float = REFRESH_S) -> None:
        self._api = api
        self._target = target
        self._refresh_s = refresh_s
        self._text = ""
        self._changed = asyncio.Event()
        self._hidden = asyncio.Event()
        self._session_answered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_session = False
        self._is_shown = False
        self._has_stop = False

    def show(self, text: str) -> None:
        """Show `text` ("thinking") until `hide` or `end`."""
        if not self._target.thread_ts or self._hidden.is_set():
            return
        self._text = text
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="slack status")

    async def has_native_stop_button(self, wait_s: float = 2.0) -> bool:
        """Whether Slack shows its own stop button in the thread."""
        if self._task is None:
            self.show("writing")
        if self._task is None:
            return False  # no thread, or hidden already
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._session_answered.wait(), wait_s)
        return self._has_stop

    def hide(self) -> None:
        """Set the status no more, since text is shown. The stop button stays."""
        self._hidden.set()
        self._changed.set()

    async def end(self) -> None:
        """Clear the status and end the agent session. Raises nothing."""
        self.hide()
        task, self._task = self._task, None
        if task is not None:
            # Not cancelled: a status that reaches Slack late would stay.
            await asyncio.wait({task})
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("status task failed", error=repr(error))
        if self._is_shown and not self._api.is_unsupported(self._target.team, STATUS):
            self._is_shown = False
            await self._call_or_log(STATUS, status="", required=True)
        if self._is_session:
            self._is_session = self._has_stop = False
            await self._call_or_log(SESSION, status="active", required=True)

    async def _run(self) -> None:
        await asyncio.gather(self._show_status(), self._start_agent_session())
        while not self._hidden.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._refresh_s)
            if not self._hidden.is_set():
                await self._show_status()

    async def _show_status(self) -> None:
        self._changed.clear()
        if self._api.is_unsupported(self._target.team, STATUS):
            return
        text = self._text
        self._is_shown = True
        await self._call_or_log(
            STATUS, status=f"is {text}…", loading_messages=loading_messages(text), required=False
        )

    async def _start_agent_session(self) -> None:
        if self._api.is_unsupported(self._target.team, SESSION):
            self._session_answered.set()
            return
        self._is_session = True
        response = await self._call_or_log(
            SESSION,
            status="processing",
            initiator_user_id=self._target.recipient or None,
            required=False,
        )
        self._has_stop = response is not None and response.get("warning") != _NO_STOP_EVENT
        self._session_answered.set()

    async def _call_or_log(self, method: str, *, required: bool, **args: Any) -> Any:
        """The response, or None if the call failed."""
        try:
            return await self._api.call(
                self._target.team,
                method,
                priority="required" if required else "best_effort",
                channel_id=self._target.channel,
                thread_ts=self._target.thread_ts,
                retry_for_s=_RETRY_FOR_S,
                **args,
            )
        except PlatformError as error:
            if not isinstance(error, PlatformBusy | PlatformUnreachable) and not required:
                # No agent, no scope, no such method: it would fail the next time, too.
                self._note_unsupported(method, code_of(error))
            log.info("status not set", method=method, error=error.detail)
            return None

    def _note_unsupported(self, method: str, code: str) -> None:
        if method == SESSION:
            self._is_session = False
        if code in APP_WIDE_REFUSALS:
            self._api.mark_unsupported(self._target.team, method)


def loading_messages(text: str) -> list[str]:
    """Messages that Slack shows in turn; at most ten."""
    return [f"{text[:1].upper()}{text[1:]}…", f"Still {text}…", "This takes a little…"]
