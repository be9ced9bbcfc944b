"""Tracing port: a turn's trace and its steps."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from bot.conversation import Turn


class TurnTrace(Protocol):
    """Trace of one running turn."""

    run_id: str

    def step(
        self, name: str, *, inputs: Any = None, started_at: datetime | None = None
    ) -> AbstractAsyncContextManager[StepTrace]:
        """A child run; `started_at` (UTC) where it began before the trace."""
        ...

    def model_config(self) -> dict[str, Any]:
        """A RunnableConfig that makes a LangChain call a child run."""
        ...

    def end(self, turn: Turn, error: BaseException | None = None) -> None:
        """Record the turn as it ended."""
        ...


class StepTrace(Protocol):
    """Trace of one step of a turn."""

    def end(self, outputs: Any) -> None: ...


class Tracer(Protocol):
    """Tracer of turns: LangSmith's, or a no-op. Never raises, never waits."""

    def turn(self, turn: Turn, *, started_at: datetime) -> AbstractAsyncContextManager[TurnTrace]:
        """Trace of a turn that has its conversation id; it began at `started_at` (UTC)."""
        ...

    async def aclose(self) -> None: ...
