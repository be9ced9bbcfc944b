"""Small things done after the acknowledgement, which nobody waits for: notices, App Home, titles."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from bot.errors import KeepthreadError

log = structlog.get_logger("keepthread.slack")

_MAX_UNDER_WAY = 200


class Errands:
    """Owns its tasks. What fails is logged; beyond a bound new ones are left out."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, what: str, work: Coroutine[Any, Any, object]) -> None:
        if len(self._tasks) >= _MAX_UNDER_WAY:
            work.close()
            log.warning("left out, too much to do", what=what)
            return
        task = asyncio.create_task(self._run(what, work), name=what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, what: str, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except KeepthreadError as error:
            log.warning("not done", what=what, error=repr(error), cure=error.cure)

    async def aclose(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
