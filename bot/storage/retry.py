"""Retry policy of Redis commands: until a deadline, not by a count."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, MaxConnectionsError

T = TypeVar("T")

_deadline: ContextVar[float | None] = ContextVar("redis_deadline", default=None)

NEVER_RETRIED = (AuthenticationError, AuthorizationError, MaxConnectionsError)
FIRST_PAUSE_S = 0.04
MAX_PAUSE_S = 1.0


class DeadlineRetry(Retry):
    """redis-py retry policy that tries again for `retry_for_s` seconds, then raises.

    redis-py nests retries (a command's try connects, which itself retries): the outermost one sets
    the deadline for all. Whatever is sent must be safe to repeat: a lost reply looks like a lost request.
    """

    def __init__(self, retry_for_s: float) -> None:
        super().__init__(NoBackoff(), retries=-1)
        self.retry_for_s = retry_for_s

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[T]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        outer = _deadline.get()
        if outer is not None:
            return await self._retry_until(outer, do, fail, is_retryable, with_failure_count)
        deadline = asyncio.get_running_loop().time() + self.retry_for_s
        token = _deadline.set(deadline)
        try:
            return await self._retry_until(deadline, do, fail, is_retryable, with_failure_count)
        finally:
            _deadline.reset(token)

    async def _retry_until(
        self,
        deadline: float,
        do: Callable[[], Awaitable[T]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None,
        with_failure_count: bool,
    ) -> T:
        failures = 0
        while True:
            try:
                return await do()
            except self._supported_errors as error:
                if isinstance(error, NEVER_RETRIED) or (is_retryable and not is_retryable(error)):
                    raise
                failures += 1
                await (fail(error, failures) if with_failure_count else fail(error))
                pause_s = _pause_s(failures)
                if asyncio.get_running_loop().time() + pause_s > deadline:
                    raise
            await asyncio.sleep(pause_s)


def _pause_s(failures: int) -> float:
    """Exponential backoff with jitter."""
    longest_s: float = min(FIRST_PAUSE_S * 2 ** (failures - 1), MAX_PAUSE_S)
    return longest_s * random.uniform(0.5, 1)  # noqa: S311  jitter
