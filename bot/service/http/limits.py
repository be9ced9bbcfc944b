"""Limits of the HTTP port: seconds, bytes and connections that strangers may use."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

MAX_CONNECTIONS = 1024
MAX_HEADER_BYTES = 64 * 1024
MAX_DESCRIPTORS = 8192
DESCRIPTOR_SHARE = 2
"""The port takes at most one of so many file descriptors; the others are for Redis, models and platforms."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of one HTTP port.

    Attributes:
        receive_s: time for a request's header, and again for its body; also for a response to be read.
        max_connections: connections open at the same time.
        max_body_bytes: longest body; a longer one is answered with 413.
        max_held_bytes: bytes of requests that are not answered yet, all connections together.
    """

    receive_s: float = 10.0
    max_connections: int = field(default_factory=lambda: default_max_connections())
    max_body_bytes: int = 1024 * 1024
    max_held_bytes: int = 32 * 1024 * 1024

    @property
    def max_request_bytes(self) -> int:
        """Bytes of a request on the line; a peer that goes on sending after its 413 is cut off there."""
        return 2 * self.max_body_bytes + MAX_HEADER_BYTES


def default_max_connections() -> int:
    """`MAX_CONNECTIONS`, or fewer where the process may open few files."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(8, min(MAX_CONNECTIONS, soft // DESCRIPTOR_SHARE))


def raise_descriptor_limit() -> None:
    """Let the process open as many files as it may, within reason: shells often allow 1,024."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
