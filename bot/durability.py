"""Waiting until a write is safe: on disk (WAITAOF), with replicas (WAIT)."""

from __future__ import annotations

from typing import Any

WAIT_MS = 2_000


class Durability:
    """How safe a message must be before its platform is told that we have it.

    Args:
        disk: wait for the append-only file (redis.io/commands/waitaof; Redis 7.2, Valkey).
        replicas: wait for so many replicas (redis.io/commands/wait).
    """

    def __init__(self, client: Any, *, is_cluster: bool, disk: bool, replicas: int) -> None:
        self._client = client
        self._is_cluster = is_cluster
        self._waits: list[tuple[Any, ...]] = []
        if replicas:
            self._waits.append(("WAIT", replicas, WAIT_MS))
        if disk:
            self._waits.append(("WAITAOF", 1, 0, WAIT_MS))

    async def wait(self, key: str, ttl_ms: int) -> None:
        """Wait until what was written to `key` is safe, or for two seconds.

        The commands count what their own connection wrote, so a write goes along: the time to live, again.
        """
        if not self._waits:
            return
        commands = [("PEXPIRE", key, ttl_ms), *self._waits]
        if not self._is_cluster:
            async with self._client.pipeline(transaction=False) as pipe:
                for words in commands:
                    pipe.execute_command(*words)
                await pipe.execute()
            return
        node = self._client.get_node_from_key(key)
        connection = node.acquire_connection()
        try:
            await connection.connect()
            for words in commands:
                await connection.send_command(*words)
                await connection.read_response()
        finally:
            node.release(connection)
