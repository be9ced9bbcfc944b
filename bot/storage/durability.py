"""Durability of writes: waits until they are on disk (WAITAOF) or with replicas (WAIT)."""

from __future__ import annotations

from typing import Any

from bot.errors import StoreUnavailable

WAIT_MS = 800
"""Less than ingress waits for any reply (bot/storage/client.py: INGRESS_RETRY_S)."""


class Durability:
    """Wait that a message must pass before it is acknowledged to its platform.

    Args:
        disk: wait for the append-only file (redis.io/commands/waitaof; Redis 7.2, Valkey).
        replicas: number of replicas to wait for (redis.io/commands/wait).
        wait_ms: limit of the wait.
    """

    def __init__(
        self,
        client: Any,
        *,
        is_cluster: bool,
        disk: bool,
        replicas: int,
        wait_ms: int = WAIT_MS,
    ) -> None:
        self._client = client
        self._is_cluster = is_cluster
        self._wait_ms = wait_ms
        self._waits: list[tuple[str, int, Any]] = []
        if replicas:
            self._waits.append(("WAIT", replicas, (wait_ms,)))
        if disk:
            self._waits.append(("WAITAOF", 1, (0, wait_ms)))

    async def wait(self, key: str, ttl_ms: int) -> None:
        """Wait until everything written so far to the node of `key`, an existing key, is safe.

        WAIT and WAITAOF count the writes of their own connection, so the time to live is written again.

        Raises:
            StoreUnavailable: it is not safe after `wait_ms`.
        """
        if not self._waits:
            return
        commands: list[tuple[Any, ...]] = [("PEXPIRE", key, ttl_ms)]
        commands += [(name, count, *more) for name, count, more in self._waits]
        replies = await (self._run_on_node if self._is_cluster else self._run_piped)(key, commands)
        for (name, wanted, _), reply in zip(self._waits, replies[1:], strict=True):
            count = int(reply[0] if name == "WAITAOF" else reply)
            if count < wanted:
                where = "not on disk" if name == "WAITAOF" else f"with {count} of {wanted} replicas"
                raise StoreUnavailable(
                    f"what was written is {where} after {self._wait_ms} ms",
                    cure="See the server's disk and replicas; BOT_WAIT_FOR_DISK and BOT_WAIT_FOR_REPLICAS ask for them.",
                )

    async def _run_piped(self, _: str, commands: list[tuple[Any, ...]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            replies: list[Any] = await pipe.execute()
            return replies

    async def _run_on_node(self, key: str, commands: list[tuple[Any, ...]]) -> list[Any]:
        node = self._client.get_node_from_key(key)
        connection = node.acquire_connection()
        replies = []
        try:
            await connection.connect()
            for command in commands:
                await connection.send_command(*command)
                replies.append(await connection.read_response())
        finally:
            node.release(connection)
        return replies
