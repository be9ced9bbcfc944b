"""Tracing port: a turn's trace and its steps."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from bot.conversation import Turn


class TurnTrace(Protocol):
    """The trace of one running turn."""

    run_id: str

    def step(
        self, name: str, *, inputs: Any = None, started_at: datetime | None = None
    ) -> AbstractAsyncContextManager[StepTrace]:
        """A child run. `started_at` (UTC) if it began before the trace could."""
        ...

    def model_config(self) -> dict[str, Any]:
        """A RunnableConfig that puts a LangChain call under this turn."""
        ...

    def end(self, turn: Turn, error: BaseException | None = None) -> None: ...


class StepTrace(Protocol):
    def end(self, outputs: Any) -> None: ...


class Tracer(Protocol):
    """LangSmith or silence. Never raises, never waits."""

    def turn(self, turn: Turn, *, started_at: datetime) -> AbstractAsyncContextManager[TurnTrace]:
        """The trace of `turn`, which knows its conversation; it began at `started_at` (UTC)."""
        ...

    async def aclose(self) -> None: ...
