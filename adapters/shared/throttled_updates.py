"""Loop that shows a growing answer: the newest text wins, one update at a time, at a pace.

Platforms count updates; a model writes faster than they allow. So pieces only collect here, and
each update shows all of the text there is by then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from bot.errors import PlaceGone, PlatformBusy, PlatformError

log = structlog.get_logger("keepthread.adapters")

RETRY_S = 1.0
"""Pause after a failed update where the platform names none."""


class ThrottledUpdates:
    """Calls `show` with the text so far, never twice at once, until `end`.

    A failed update is repeated with the newest text once its pause is over. PlaceGone ends the updates.

    Args:
        show: shows the text; False if there was nothing to show, so that no pause follows. Raises
            PlatformError.
        pace_s: least seconds between two updates, asked before each pause.
        first_s: seconds before the first update; text that is complete by then needs none.
        repeat_s: the same text is shown again after so long without news; None: never.
        retry_s: pause after a failed update where the platform names none.
        name: of the task.
    """

    def __init__(
        self,
        show: Callable[[str], Awaitable[bool]],
        *,
        pace_s: Callable[[], float],
        first_s: float = 0.0,
        repeat_s: float | None = None,
        retry_s: float = RETRY_S,
        name: str = "answer updates",
    ) -> None:
        self._show = show
        self._pace_s = pace_s
        self._first_s = first_s
        self._repeat_s = repeat_s
        self._retry_s = retry_s
        self._name = name
        self._text = ""
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_ended(self) -> bool:
        """Whether no further update begins. A `show` of several calls leaves off then."""
        return self._ended.is_set()

    def add(self, piece: str) -> None:
        """Append `piece` to the text, and start the updates."""
        self._text += piece
        self._changed.set()
        self.start()

    def start(self) -> None:
        """Start the updates, the first with the text there is, if they neither run nor have ended."""
        if self._task is None and not self.is_ended:
            self._changed.set()
            self._task = asyncio.create_task(self._run(), name=self._name)

    def stop(self) -> None:
        """Begin no further update."""
        self._ended.set()
        self._changed.set()

    async def end(self) -> None:
        """Stop, and wait for the update in flight, so that its message's id is known. Raises nothing."""
        self.stop()
        if self._task is None:
            return
        await asyncio.wait({self._task})
        task, self._task = self._task, None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("answer updates failed", task=self._name, error=repr(error))

    async def _run(self) -> None:
        if self._first_s:
            await _wait(self._ended, self._first_s)
        while not self.is_ended:
            await _wait(self._changed, self._repeat_s)
            self._changed.clear()
            if self.is_ended:
                return
            pause_s = await self._update()
            if pause_s:
                await _wait(self._ended, pause_s)

    async def _update(self) -> float:
        """Show the text; the seconds to wait before the next update."""
        try:
            has_shown = await self._show(self._text)
        except PlaceGone as error:
            log.info("answer updates ended", task=self._name, error=error.detail)
            self.stop()
            return 0
        except PlatformError as error:
            if not isinstance(error, PlatformBusy):
                log.info("answer update failed", task=self._name, error=error.detail)
            self._changed.set()
            wait_s = self._retry_s if error.retry_after_s is None else error.retry_after_s
            return max(wait_s, self._pace_s())
        return self._pace_s() if has_shown else 0


async def _wait(event: asyncio.Event, timeout_s: float | None) -> bool:
    """Wait for `event`, at most so long. Whether it was set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
    return event.is_set()
