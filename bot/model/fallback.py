"""Fallback model: answers while the primary model is down."""

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

OUTAGE_ERRORS: tuple[type[ModelError], ...] = (
    ModelBroken,
    ModelBusy,
    ModelKeyRefused,
    ModelMissing,
    ModelQuotaSpent,
    ModelTimeout,
    ModelUnreachable,
)
COOLDOWN_S = 30.0


class FallbackModel:
    """Model that asks `fallback` when `primary` is down and no text was shown yet.

    For `cooldown_s` after a failure `primary` is not asked, so that not every turn waits for it.
    """

    def __init__(self, primary: Model, fallback: Model, *, cooldown_s: float = COOLDOWN_S) -> None:
        self._primary = primary
        self._fallback = fallback
        self._cooldown_s = cooldown_s
        self._down_until = 0.0

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta]:
        if time.monotonic() >= self._down_until:
            shown = False
            try:
                async with aclosing(self._primary.stream(prompt, trace)) as deltas:
                    async for delta in deltas:
                        shown = shown or bool(delta.text)
                        yield delta
                return
            except OUTAGE_ERRORS as error:
                if shown:
                    raise
                self._down_until = time.monotonic() + self._cooldown_s
                log.warning("primary model failed, fallback model used", error=repr(error))
        async with aclosing(self._fallback.stream(prompt, trace)) as deltas:
            async for delta in deltas:
                yield delta

    async def aclose(self) -> None:
        try:
            await self._primary.aclose()
        finally:
            await self._fallback.aclose()
