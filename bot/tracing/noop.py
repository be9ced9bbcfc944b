"""No-op tracer, for when tracing is off."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from bot.conversation import Turn
from bot.ports import StepTrace, TurnTrace


class NoopTracer:
    """Traces nothing, at no cost."""

    def turn(
        self, turn: Turn, *, started_at: datetime | None = None
    ) -> AbstractAsyncContextManager[TurnTrace]:
        return _SilentTurn()

    async def aclose(self) -> None:
        """Nothing waits."""


class _SilentStep:
    """A step, a context manager that does nothing, and its own value."""

    __slots__ = ()

    async def __aenter__(self) -> _SilentStep:
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Exceptions pass."""

    def end(self, outputs: Any) -> None:
        """Nobody wants to know."""


class _SilentTurn:
    """The same for a turn."""

    __slots__ = ()
    run_id = ""

    async def __aenter__(self) -> _SilentTurn:
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Exceptions pass."""

    def step(
        self, name: str, *, inputs: Any = None, started_at: datetime | None = None
    ) -> AbstractAsyncContextManager[StepTrace]:
        return _SilentStep()

    def model_config(self) -> dict[str, Any]:
        return {}

    def end(self, turn: Turn, error: BaseException | None = None) -> None:
        """Nobody wants to know."""
