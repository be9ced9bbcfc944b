"""Growth of CPU time with the input: twice the text may cost little more than twice the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

MAX_RATIO = 2.6
"""Bound of the ratio; linear work is at 2, quadratic work at 4."""
MIN_S = 0.004
"""Shortest measurement that says something: smaller inputs are doubled until they take as long."""


def growth(work: Callable[[T], object], make: Callable[[int], T], size: int = 1_000) -> float:
    """CPU time of `work(make(2 * n))` over that of `work(make(n))`, for an n that takes MIN_S at least.

    Best of several pairs, each measured within one run, so that a busy machine changes nothing.
    """
    while _cpu_s(work, make(size)) < MIN_S and size < 2**24:
        size *= 2
    small, large = make(size), make(2 * size)
    ratios = []
    for _ in range(7):
        before = _cpu_s(work, small)
        ratios.append(_cpu_s(work, large) / max(before, 1e-9))
        if ratios[-1] <= MAX_RATIO:
            break
    return min(ratios)


def assert_near_linear(
    work: Callable[[T], object], make: Callable[[int], T], size: int = 1_000
) -> None:
    """Fail if `work` grows faster than its input."""
    ratio = growth(work, make, size)
    assert ratio <= MAX_RATIO, f"twice the input costs {ratio:.1f} times the time"


def _cpu_s(work: Callable[[T], object], value: T) -> float:
    began = time.thread_time()
    work(value)
    return time.thread_time() - began
