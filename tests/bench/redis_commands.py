"""Rate of commands that clients send a Redis server, by MONITOR."""

from __future__ import annotations

import asyncio
import contextlib

from redis.asyncio import Redis


async def commands_a_second(client: Redis, seconds: float) -> float:
    """Commands a second of all other clients, without those that scripts run."""
    count = 0
    async with client.monitor() as monitor:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    seen = await monitor.next_command()
                    count += seen["client_type"] != "lua"
    return count / seconds
