"""Background tasks: owned, bounded, logged when they fail, ended with their owner."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

from bot.errors import KeepthreadError

log = structlog.get_logger("keepthread.background")

CANCEL_AGAIN_S = 0.2
MAX_TASKS = 200


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until all have ended; what they raised is dropped.

    More than once if need be: `asyncio.wait_for` (Python 3.11) and a connection that is just being
    opened can swallow a cancellation.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


class BackgroundTasks:
    """Tasks whose results nobody waits for: notices, buttons, titles, summaries.

    Attributes:
        max_tasks: beyond so many at once new ones are dropped, with a line in the log.
    """

    def __init__(self, *, max_tasks: int = MAX_TASKS) -> None:
        self.max_tasks = max_tasks
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, name: str, work: Coroutine[Any, Any, object]) -> bool:
        """Start `work`. A KeepthreadError in it is logged under `name`. False: it was dropped."""
        if len(self._tasks) >= self.max_tasks:
            work.close()
            log.warning("background task dropped", task=name, running=len(self._tasks))
            return False
        task = asyncio.create_task(_run(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def join(self) -> None:
        """Wait until all tasks have ended, also those that are added meanwhile."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def aclose(self, *, grace_s: float = 0) -> None:
        """Wait `grace_s` for the running tasks, then cancel them."""
        if self._tasks and grace_s:
            await asyncio.wait(set(self._tasks), timeout=grace_s)
        await cancel_all(tuple(self._tasks))


async def _run(name: str, work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except KeepthreadError as error:
        log.warning("background task failed", task=name, error=repr(error), cure=error.cure)
