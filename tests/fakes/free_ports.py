"""Free ports, for servers that cannot bind port 0."""

from __future__ import annotations

import contextlib
import random
import socket

# Not seeded: parallel test processes must not draw the same ports.
_RANDOM = random.SystemRandom()
MIN_PORT, MAX_PORT = 10_000, 32_000


def free_port() -> int:
    """A port without a listener, below the kernel's ephemeral range (from 32,768 on Linux)."""
    while True:
        port = _RANDOM.randrange(MIN_PORT, MAX_PORT)
        if is_free(port):
            return port


def free_cluster_port() -> int:
    """A free port whose cluster bus port (10,000 above) is free too."""
    while True:
        port = _RANDOM.randrange(MIN_PORT, MAX_PORT - 10_000)
        if is_free(port) and is_free(port + 10_000):
            return port


def is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        return True
    return False
