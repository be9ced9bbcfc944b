"""How long redis-py tries again: by the clock, not by the count."""

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


class Patience(Retry):
    """Tries again for `total_s` seconds, then raises. A refused password is not tried again.

    redis-py nests retries (a command's try connects, which itself retries): the outermost one sets
    the time for all. Whatever is sent must be safe to repeat: a lost reply looks like a lost request.
    """

    def __init__(self, total_s: float) -> None:
        super().__init__(NoBackoff(), retries=-1)
        self.total_s = total_s

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[T]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        outer = _deadline.get()
        if outer is not None:
            return await self._try_until(outer, do, fail, is_retryable, with_failure_count)
        loop = asyncio.get_running_loop()
        token = _deadline.set(loop.time() + self.total_s)
        try:
            return await self._try_until(
                loop.time() + self.total_s, do, fail, is_retryable, with_failure_count
            )
        finally:
            _deadline.reset(token)

    async def _try_until(
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
                if isinstance(
                    error, (AuthenticationError, AuthorizationError, MaxConnectionsError)
                ):
                    raise
                if is_retryable and not is_retryable(error):
                    raise
                failures += 1
                await (fail(error, failures) if with_failure_count else fail(error))
                pause_s = min(0.02 * 2**failures, 1.0) * random.uniform(0.5, 1)  # noqa: S311  jitter
                if asyncio.get_running_loop().time() + pause_s > deadline:
                    raise
            await asyncio.sleep(pause_s)
