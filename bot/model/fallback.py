"""Fallback model: answers while the primary model is down."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from bot.errors import (
    ModelBroken,
    ModelBusy,
    ModelError,
    ModelSetupError,
    ModelTimeout,
    ModelUnreachable,
)
from bot.ports import AnswerDelta, Model, Prompt, TurnTrace

log = structlog.get_logger("keepthread.model")

OUTAGE_ERRORS: tuple[type[ModelError], ...] = (
    ModelBroken,
    ModelBusy,
    ModelSetupError,
    ModelTimeout,
    ModelUnreachable,
)
"""Errors after which the fallback is asked: another endpoint may do better."""
CONNECTION_ERRORS = (ModelTimeout, ModelUnreachable)
COOLDOWN_S = 30.0
FAILURE_WINDOW_S = 120.0
"""Failures longer ago say nothing of the endpoint now."""
MIN_CONVERSATIONS = 2
MIN_REQUESTS = 3
MIN_UNCONNECTED_REQUESTS = 2
MAX_FAILURES = 100


@dataclass(slots=True)
class CircuitBreaker:
    """Decides whether an endpoint is down, or only refuses what one person sent.

    It opens after failures of several conversations, or of different requests, without a success between
    them: a request that is refused again and again, however it is refused, is one.

    Attributes:
        cooldown_s: time for which an open breaker keeps requests away.
    """

    cooldown_s: float = COOLDOWN_S
    _open_until: float = 0.0
    _failures: dict[tuple[str, int], tuple[float, bool]] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def add_success(self) -> None:
        self._failures.clear()

    def add_failure(self, prompt: Prompt, error: ModelError) -> None:
        """Count the failure of a request; open if it is not the first of its kind."""
        now = time.monotonic()
        request = (prompt.cache_key, hash(prompt.messages[-1:]))
        self._failures.pop(request, None)
        self._failures[request] = (now, isinstance(error, CONNECTION_ERRORS))
        for old, (at, _) in list(self._failures.items()):
            if at < now - FAILURE_WINDOW_S or len(self._failures) > MAX_FAILURES:
                del self._failures[old]
        conversations = {conversation for conversation, _ in self._failures}
        unconnected = sum(is_unconnected for _, is_unconnected in self._failures.values())
        if (
            len(conversations) >= MIN_CONVERSATIONS
            or len(self._failures) >= MIN_REQUESTS
            or unconnected >= MIN_UNCONNECTED_REQUESTS
        ):
            self._open_until = now + self.cooldown_s
            self._failures.clear()
            log.warning("circuit breaker open", error=repr(error), seconds=self.cooldown_s)


class FallbackModel:
    """Model that asks `fallback` when `primary` fails and no text was shown yet.

    While its breaker is open `primary` is not asked, so that not every turn waits for it.
    """

    def __init__(self, primary: Model, fallback: Model, *, cooldown_s: float = COOLDOWN_S) -> None:
        self._primary = primary
        self._fallback = fallback
        self._breaker = CircuitBreaker(cooldown_s)

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta]:
        if not self._breaker.is_open:
            shown = False
            try:
                async with aclosing(self._primary.stream(prompt, trace)) as deltas:
                    async for delta in deltas:
                        shown = shown or bool(delta.text)
                        yield delta
                self._breaker.add_success()
                return
            except OUTAGE_ERRORS as error:
                if shown:
                    raise
                self._breaker.add_failure(prompt, error)
                report = log.error if isinstance(error, ModelSetupError) else log.warning
                report(
                    "primary model failed, fallback model used", error=repr(error), cure=error.cure
                )
        async with aclosing(self._fallback.stream(prompt, trace)) as deltas:
            async for delta in deltas:
                yield delta

    async def aclose(self) -> None:
        try:
            await self._primary.aclose()
        finally:
            await self._fallback.aclose()
