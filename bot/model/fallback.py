"""A second model for when the first is down."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog

from bot.errors import (
    ModelBroken,
    ModelBusy,
    ModelError,
    ModelKeyRefused,
    ModelMissing,
    ModelQuotaSpent,
    ModelTimeout,
    ModelUnreachable,
)
from bot.ports import AnswerDelta, Model, Prompt, TurnTrace

log = structlog.get_logger("keepthread.model")

DOWN: tuple[type[ModelError], ...] = (
    ModelBroken,
    ModelBusy,
    ModelKeyRefused,
    ModelMissing,
    ModelQuotaSpent,
    ModelTimeout,
    ModelUnreachable,
)
REST_S = 30.0


class FallbackModel:
    """Asks `second` when `first` is down and nothing was shown yet.

    For `rest_s` after a failure `first` is not asked, so that not every message waits for it in vain.
    """

    def __init__(self, first: Model, second: Model, *, rest_s: float = REST_S) -> None:
        self._first = first
        self._second = second
        self._rest_s = rest_s
        self._down_until = 0.0

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta]:
        if time.monotonic() >= self._down_until:
            shown = False
            try:
                async with aclosing(self._first.stream(prompt, trace)) as deltas:
                    async for delta in deltas:
                        shown = shown or bool(delta.text)
                        yield delta
                return
            except DOWN as error:
                if shown:
                    raise
                self._down_until = time.monotonic() + self._rest_s
                log.warning("fallback model asked", error=repr(error))
        async with aclosing(self._second.stream(prompt, trace)) as deltas:
            async for delta in deltas:
                yield delta

    async def aclose(self) -> None:
        try:
            await self._first.aclose()
        finally:
            await self._second.aclose()
