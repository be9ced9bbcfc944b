"""No-op tracer, for when tracing is off."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from bot.conversation import Turn
from bot.ports import StepTrace, TurnTrace


class NoopTracer:
    """Tracer that does nothing."""

    def turn(
        self, turn: Turn, *, started_at: datetime | None = None
    ) -> AbstractAsyncContextManager[TurnTrace]:
        return _NoopTurn()

    async def aclose(self) -> None:
        """No-op."""


class _NoopStep:
    """Step that does nothing: both the context manager and its value."""

    __slots__ = ()

    async def __aenter__(self) -> _NoopStep:
        return self

    async def __aexit__(self, *exception: object) -> None:
        """No-op: exceptions pass."""

    def end(self, outputs: Any) -> None:
        """No-op."""


class _NoopTurn:
    """Trace of a turn that does nothing: both the context manager and its value."""

    __slots__ = ()
    run_id = ""

    async def __aenter__(self) -> _NoopTurn:
        return self

    async def __aexit__(self, *exception: object) -> None:
        """No-op: exceptions pass."""

    def step(
        self, name: str, *, inputs: Any = None, started_at: datetime | None = None
    ) -> AbstractAsyncContextManager[StepTrace]:
        return _NoopStep()

    def model_config(self) -> dict[str, Any]:
        return {}

    def end(self, turn: Turn, error: BaseException | None = None) -> None:
        """No-op."""
