"""Sender of runs to LangSmith: a bounded queue, and one daemon thread that empties it.

LangSmith's own client queues without a limit in bytes, sends from a pool that process exit waits
for, and warns once a batch. Here a dead, slow or refusing endpoint costs bounded memory and one
warning a minute; turns never wait for it, and process exit waits a limited time.
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

MAX_QUEUED_RUNS = 2_000
MAX_QUEUED_BYTES = 32 * 1024 * 1024
MAX_BATCH_RUNS = 100
"""LangSmith's own `size_limit` of a batch."""
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Well under the 20 MiB (20,971,520 bytes) that LangSmith states as `size_limit_bytes`."""
BATCH_WAIT_S = 0.25
"""How long a batch waits for more runs, so that most runs are sent whole and in one request."""
WARNING_INTERVAL_S = 60

Batch = list[tuple[Operation, dict[str, Any]]]


class Sender:
    """Sends enqueued runs in batches, in order, from its own thread.

    Args:
        send: sends a batch to LangSmith. May block and raise; called in the thread.
        batch_wait_s: how long a batch waits for more runs.
    """

    def __init__(
        self, send: Callable[[Batch], None], *, batch_wait_s: float = BATCH_WAIT_S
    ) -> None:
        self._send = send
        self._batch_wait_s = batch_wait_s
        self._queue: deque[tuple[int, Operation, dict[str, Any]]] = deque()
        self._queue_bytes = 0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._last_warning_at: float | None = None

    def enqueue(self, operation: Operation, run: dict[str, Any]) -> None:
        """Add a run to the queue; a full queue drops its oldest run. Never waits, never raises."""
        size = estimate_bytes(run)
        with self._changed:
            if self._closing.is_set():
                return
            self._queue.append((size, operation, run))
            self._queue_bytes += size
            while len(self._queue) > 1 and (
                len(self._queue) > MAX_QUEUED_RUNS or self._queue_bytes > MAX_QUEUED_BYTES
            ):
                self._queue_bytes -= self._queue.popleft()[0]
                self._dropped += 1
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._send_batches, name="keepthread-tracing", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def close(self, timeout_s: float) -> bool:
        """Send the queued runs, for at most `timeout_s` seconds. False: some were not sent."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def report_failure(self, error: BaseException) -> None:
        """Log that a batch was not sent, at most once a minute."""
        now = time.monotonic()
        if self._last_warning_at is not None and now - self._last_warning_at < WARNING_INTERVAL_S:
            return
        self._last_warning_at = now
        dropped = f" {self._dropped} runs were dropped while waiting." if self._dropped else ""
        self._dropped = 0
        logger.warning(
            "traces not sent to LangSmith (%s); turns go on.%s", describe_failure(error), dropped
        )

    def log_filter(self, record: logging.LogRecord) -> bool:
        """Logging filter that drops records of the sender's thread: `report_failure` logs instead."""
        return self._thread is None or record.thread != self._thread.ident

    def _send_batches(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing.is_set():
                    self._changed.wait()
                if not self._queue:
                    return
                full = len(self._queue) >= MAX_BATCH_RUNS
            if not full:
                self._closing.wait(self._batch_wait_s)
            try:
                self._send(self._next_batch())
            except Exception as error:  # noqa: BLE001  tracing may fail in any way, and must go on
                self.report_failure(error)

    def _next_batch(self) -> Batch:
        batch: Batch = []
        batch_bytes = 0
        with self._changed:
            while self._queue and len(batch) < MAX_BATCH_RUNS:
                size, operation, run = self._queue[0]
                if batch and batch_bytes + size > MAX_BATCH_BYTES:
                    break
                self._queue.popleft()
                self._queue_bytes -= size
                batch_bytes += size
                batch.append((operation, run))
        return batch


def estimate_bytes(value: Any) -> int:
    """Approximate size of `value`: the length of its texts, and a constant for everything else."""
    if isinstance(value, str):
        return len(value) + 8
    if isinstance(value, dict):
        return 8 + sum(len(key) + estimate_bytes(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return 8 + sum(estimate_bytes(item) for item in value)
    return 16


def describe_failure(error: BaseException) -> str:
    """Cause of a failure. Never the library's own text, which quotes parts of the key."""
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
