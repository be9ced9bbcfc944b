"""Open connections of the HTTP port, and which of them is closed when there is no room.

The connection whose peer has kept the server waiting longest goes first: a request that arrives whole, as
platforms and probes send it, waits for milliseconds, and so outlives any number of unfinished ones. A connection
that a platform has proved to be its own, and keeps open for its next request, goes last.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import structlog

from bot.cache import RepeatCounter
from bot.service.http.limits import HttpLimits

log = structlog.get_logger("keepthread.http")

REPORT_EVERY_S = 60.0


class LimitedConnection(Protocol):
    """Connection as `OpenConnections` sees it.

    Attributes:
        held_bytes: bytes received of the request that is not answered yet.
        is_trusted: an earlier request on it was a platform's.
    """

    held_bytes: int
    is_trusted: bool

    def abort(self) -> None:
        """Close at once, without sending what is left."""
        ...


class OpenConnections:
    """Registry of open connections, within `limits`.

    A connection *waits* while its peer is to act: to send the rest of a request, or to read a response.
    """

    def __init__(self, limits: HttpLimits, *, timer: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._timer = timer
        self._open: set[LimitedConnection] = set()
        self._strange: dict[LimitedConnection, float] = {}  # waiting, with deadlines, soonest first
        self._trusted: dict[LimitedConnection, float] = {}
        self._held_bytes = 0
        self._closed = RepeatCounter(REPORT_EVERY_S)

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: LimitedConnection) -> None:
        """A new connection, which waits for a header."""
        self._open.add(connection)
        self.wait(connection)

    def remove(self, connection: LimitedConnection) -> None:
        if connection in self._open:
            self._open.discard(connection)
            self.answer(connection)
            self.hold(connection, 0)

    def wait(self, connection: LimitedConnection) -> None:
        """The connection's peer is to act, within `limits.receive_s` from now."""
        self.answer(connection)
        if connection in self._open:
            waiting = self._trusted if connection.is_trusted else self._strange
            waiting[connection] = self._timer() + self.limits.receive_s

    def answer(self, connection: LimitedConnection) -> None:
        """The connection's request is whole: it is not closed before it is answered."""
        self._strange.pop(connection, None)
        self._trusted.pop(connection, None)

    def hold(self, connection: LimitedConnection, size: int) -> None:
        """Set the connection's `held_bytes`; beyond the limit of all, close those that hold most."""
        self._held_bytes += size - connection.held_bytes
        connection.held_bytes = size
        while self._held_bytes > self.limits.max_held_bytes:
            waiting = max(self._waiting(), key=lambda waiting: waiting.held_bytes, default=None)
            if waiting is None:
                return
            self.close(waiting, "too much held")

    @property
    def is_full(self) -> bool:
        """Whether one more connection would have to wait until another one is answered."""
        return len(self._open) >= self.limits.max_connections and not any(self._waiting())

    def make_room(self) -> None:
        """Close the connections that have waited longest, until there is room for one more."""
        while len(self._open) >= self.limits.max_connections:
            longest = next(self._waiting(), None)
            if longest is None:
                return
            self.close(longest, "too many connections")

    def close_expired(self) -> None:
        """Close the connections whose deadline has passed."""
        now = self._timer()
        for waiting in (self._strange, self._trusted):
            while waiting:
                connection, deadline = next(iter(waiting.items()))
                if deadline > now:
                    break
                self.close(connection, "too slow")

    def close(self, connection: LimitedConnection, reason: str) -> None:
        """Close it at once; the log counts the reasons."""
        if connection not in self._open:
            return
        self.remove(connection)
        connection.abort()
        if times := self._closed.count(reason):
            log.warning("connections closed", reason=reason, times=times, open=len(self._open))

    def _waiting(self) -> Iterator[LimitedConnection]:
        return itertools.chain(self._strange, self._trusted)
