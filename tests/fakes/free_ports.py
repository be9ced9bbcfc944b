"""Ports for servers that cannot take port 0 themselves."""

from __future__ import annotations

import contextlib
import random
import socket

_CHANCE = (
    random.SystemRandom()
)  # not seeded: test processes beside each other must not draw the same
LOWEST, HIGHEST = 10_000, 32_000


def free_port() -> int:
    """A port nobody listens on, below the range that the kernel hands out by itself (from 32,768 on Linux)."""
    while True:
        port = _CHANCE.randrange(LOWEST, HIGHEST)
        if is_free(port):
            return port


def free_cluster_port() -> int:
    """The same, where the port of the cluster's bus (10,000 above) is free too."""
    while True:
        port = _CHANCE.randrange(LOWEST, HIGHEST - 10_000)
        if is_free(port) and is_free(port + 10_000):
            return port


def is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        return True
    return False
