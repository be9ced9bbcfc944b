"""The signs that an answer is coming: Slack's status below the thread, and its own stop button.

Status: https://docs.slack.dev/reference/methods/assistant.threads.setStatus (goes after two minutes)
Stop button: https://docs.slack.dev/ai/agent-sessions (for apps declared as agents)
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from adapters.slack.api.errors import APP_WIDE_REFUSALS, code_of
from adapters.slack.outbound.messages import MessageSender
from adapters.slack.outbound.target import Target
from bot.errors import PlatformBusy, PlatformError, PlatformUnreachable

log = structlog.get_logger("keepthread.slack")

STATUS = "assistant.threads.setStatus"
SESSION = "agents.sessions.setStatus"

REFRESH_S = 100.0
"""Slack takes a status away after 120 s."""

_CLEAR_RETRY_FOR_S = 10.0
_NO_STOP_EVENT = "missing_agent_session_stopped_event_subscription"


class StatusIndicator:
    """Shows below one thread that something is being done, and takes it away again.

    Without a thread there is nothing to show it below.
    """

    def __init__(
        self, sender: MessageSender, target: Target, *, refresh_s: float = REFRESH_S
    ) -> None:
        self._sender = sender
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
        """Show `words` ("thinking") until `quiet` or `end`."""
        if not self._target.thread_ts or self._hidden.is_set():
            return
        self._text = text
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="slack status")

    async def has_native_stop_button(self, wait_s: float = 2.0) -> bool:
        """Whether Slack shows its own stop button there."""
        if self._task is None:
            self.show("writing")
        if self._task is None:
            return False  # nothing is shown there, or not any more
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._session_answered.wait(), wait_s)
        return self._has_stop

    def hide(self) -> None:
        """The answer itself is to be seen now. The stop button stays."""
        self._hidden.set()
        self._changed.set()

    async def end(self) -> None:
        """Take everything away. Never raises."""
        self.hide()
        task, self._task = self._task, None
        if task is not None:
            # Not cancelled: a status that arrives late would stay.
            await asyncio.wait({task})
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a status failed", error=repr(error))
        if self._is_shown and (self._target.team, STATUS) not in self._sender.unsupported:
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
        if (self._target.team, STATUS) in self._sender.unsupported:
            return
        text = self._text
        self._is_shown = True
        await self._call_or_log(
            STATUS, status=f"is {text}…", loading_messages=loading_messages(text), required=False
        )

    async def _start_agent_session(self) -> None:
        if (self._target.team, SESSION) in self._sender.unsupported:
            self._session_answered.set()
            return
        self._is_session = True
        answer = await self._call_or_log(
            SESSION,
            status="processing",
            initiator_user_id=self._target.recipient or None,
            required=False,
        )
        self._has_stop = answer is not None and answer.get("warning") != _NO_STOP_EVENT
        self._session_answered.set()

    async def _call_or_log(self, method: str, *, required: bool, **args: Any) -> Any:
        try:
            return await self._sender.call(
                self._target.team,
                method,
                priority="required" if required else "best_effort",
                channel_id=self._target.channel,
                thread_ts=self._target.thread_ts,
                retry_for_s=_CLEAR_RETRY_FOR_S,
                **args,
            )
        except PlatformError as error:
            if not isinstance(error, PlatformBusy | PlatformUnreachable) and not required:
                # No agent, no scope, no such method: it will not work the next time either.
                self._note_unsupported(method, code_of(error))
            log.info("no sign", method=method, error=error.detail)
            return None

    def _note_unsupported(self, method: str, code: str) -> None:
        if method == SESSION:
            self._is_session = False
        if code in APP_WIDE_REFUSALS:
            self._sender.unsupported.add((self._target.team, method))


def loading_messages(text: str) -> list[str]:
    """What Slack shows in turn; at most ten."""
    return [f"{text[:1].upper()}{text[1:]}…", f"Still {text}…", "This takes a little…"]
