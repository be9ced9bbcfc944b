"""Wait for a condition, instead of sleeping."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any


async def wait_until(
    predicate: Callable[[], Any | Awaitable[Any]], timeout_s: float = 120, *, every_s: float = 0.01
) -> Any:
    """Call `predicate` (plain or async) until its value is true, and return that value.

    Raises:
        AssertionError: it was not true within `timeout_s`.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        value = predicate()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if asyncio.get_running_loop().time() >= deadline:
            where = inspect.getsourcelines(predicate)[0][0].strip()
            raise AssertionError(f"not true within {timeout_s} s: {where}")
        await asyncio.sleep(every_s)
