"""Runs a command's coroutine to its exit status; signals cancel it."""

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
        return asyncio.run(_until_told(coroutine))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def _until_told(coroutine: Coroutine[Any, Any, int]) -> int:
    """SIGTERM, and a terminal that closes, cancel it as Ctrl-C does."""
    told: list[int] = []
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine runs in one

    def end(number: int) -> None:
        told.append(number)
        task.cancel()

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            with suppress(RuntimeError):  # Windows' loops have no signal handlers
                asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        return await coroutine
    except asyncio.CancelledError:
        if not told:
            raise
        _let_go_of_the_terminal()
        return 128 + told[0]


def _let_go_of_the_terminal() -> None:
    """Where the window was closed nothing can be written any more: Python would exit with 120 for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
