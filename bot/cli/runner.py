"""Runs a command's coroutine; its result, or a signal, becomes the exit status."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


def run(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine to its exit status. A signal ends it with everything closed."""
    logging.captureWarnings(True)
    try:
        return asyncio.run(_run_until_signalled(coroutine))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def _run_until_signalled(coroutine: Coroutine[Any, Any, int]) -> int:
    """Await `coroutine`; SIGTERM, and SIGHUP from a closed terminal, cancel it as Ctrl-C does."""
    received: list[int] = []
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine runs in one

    def cancel(number: int) -> None:
        received.append(number)
        task.cancel()

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            with suppress(RuntimeError):  # Windows' loops have no signal handlers
                asyncio.get_running_loop().add_signal_handler(number, cancel, number)
    try:
        return await coroutine
    except asyncio.CancelledError:
        if not received:
            raise
        _ignore_closed_stdio()
        return 128 + received[0]


def _ignore_closed_stdio() -> None:
    """Point streams of a closed terminal at the null device: else Python's last flush exits with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
