"""The way to LangSmith: a bounded queue, and one daemon thread that empties it.

LangSmith's own client queues without a limit in bytes, sends from a pool that process exit waits
for, and warns once a batch. Here a dead, slow or refusing endpoint costs a bounded piece of memory
and one warning a minute, and nothing waits for it: not a turn, and exit no longer than it says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from bot.tracing.run import Operation

logger = logging.getLogger(__name__)

MAX_WAITING_RUNS = 2_000
MAX_WAITING_BYTES = 32 * 1024 * 1024
MAX_BATCH_RUNS = 100
"""LangSmith's own `size_limit` of a batch."""
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Well under the 20 MiB (20,971,520 bytes) that LangSmith states as `size_limit_bytes`."""
GATHER_S = 0.25
"""A batch waits so long for company, so that most runs travel whole and in one request."""
SECONDS_BETWEEN_WARNINGS = 60

Batch = list[tuple[Operation, dict[str, Any]]]


class Sender:
    """Sends what `put` took, in order, from a thread of its own.

    Args:
        send: takes a batch to LangSmith. May block and raise; runs in the thread.
    """

    def __init__(self, send: Callable[[Batch], None], *, gather_s: float = GATHER_S) -> None:
        self._send = send
        self._gather_s = gather_s
        self._waiting: deque[tuple[int, Operation, dict[str, Any]]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = 0
        self._warned_at: float | None = None

    def put(self, operation: Operation, run: dict[str, Any]) -> None:
        """Take a run. When too much waits, the oldest gives way. Never waits, never raises."""
        size = weigh(run)
        with self._changed:
            if self._closing.is_set():
                return
            self._waiting.append((size, operation, run))
            self._waiting_bytes += size
            while len(self._waiting) > 1 and (
                len(self._waiting) > MAX_WAITING_RUNS or self._waiting_bytes > MAX_WAITING_BYTES
            ):
                self._waiting_bytes -= self._waiting.popleft()[0]
                self._lost += 1
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="keepthread-tracing", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def close(self, timeout_s: float) -> bool:
        """Send what waits, for at most `timeout_s` seconds. False: something was left behind."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def failed(self, error: BaseException) -> None:
        """Say that a batch was lost: at once, and then at most once a minute."""
        now = time.monotonic()
        if self._warned_at is not None and now - self._warned_at < SECONDS_BETWEEN_WARNINGS:
            return
        self._warned_at = now
        lost = f" {self._lost} runs were dropped while waiting." if self._lost else ""
        self._lost = 0
        logger.warning("LangSmith takes no traces (%s); turns go on.%s", reason(error), lost)

    def mutes(self, record: logging.LogRecord) -> bool:
        """A logging filter: what libraries log in this thread comes out of `failed` instead."""
        return self._thread is None or record.thread != self._thread.ident

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
                if not self._waiting:
                    return
                full = len(self._waiting) >= MAX_BATCH_RUNS
            if not full:
                self._closing.wait(self._gather_s)
            try:
                self._send(self._take())
            except Exception as error:  # noqa: BLE001 - tracing may fail in any way; it must go on
                self.failed(error)

    def _take(self) -> Batch:
        batch: Batch = []
        batch_bytes = 0
        with self._changed:
            while self._waiting and len(batch) < MAX_BATCH_RUNS:
                size, operation, run = self._waiting[0]
                if batch and batch_bytes + size > MAX_BATCH_BYTES:
                    break
                self._waiting.popleft()
                self._waiting_bytes -= size
                batch_bytes += size
                batch.append((operation, run))
        return batch


def weigh(value: Any) -> int:
    """About how many bytes `value` takes: its text, and a little for everything else."""
    if isinstance(value, str):
        return len(value) + 8
    if isinstance(value, dict):
        return 8 + sum(len(key) + weigh(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return 8 + sum(weigh(item) for item in value)
    return 16


def reason(error: BaseException) -> str:
    """Why, in a few words. Never the library's own text: that quotes the key's ends."""
    from langsmith import utils

    if isinstance(error, utils.LangSmithAuthError):
        return "the key was refused"
    if isinstance(error, utils.LangSmithRateLimitError):
        return "rate limit"
    unreachable = (utils.LangSmithConnectionError, utils.LangSmithRequestTimeout, OSError)
    if isinstance(error, unreachable):  # requests' own errors are OSErrors
        return "cannot be reached"
    if isinstance(error, utils.LangSmithAPIError):
        return "the server failed"
    return f"refused: {type(error).__name__}"
