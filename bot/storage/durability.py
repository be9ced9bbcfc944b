"""Waiting until a write is safe: on disk (WAITAOF), with replicas (WAIT)."""

from __future__ import annotations

from typing import Any

from bot.errors import StoreUnavailable

WAIT_MS = 800
"""Less than ingress waits for any reply (bot/storage/client.py: INGRESS_RETRY_S)."""


class Durability:
    """How safe a message must be before its platform is told that we have it.

    Args:
        disk: wait for the append-only file (redis.io/commands/waitaof; Redis 7.2, Valkey).
        replicas: wait for so many replicas (redis.io/commands/wait).
        wait_ms: for so long at most.
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
        """Wait until all that was written so far to the node of `key`, which exists, is safe.

        The commands count what their own connection wrote, so a write goes along: the time to live, again.

        Raises:
            StoreUnavailable: it is not safe after `wait_ms`.
        """
        if not self._waits:
            return
        commands: list[tuple[Any, ...]] = [("PEXPIRE", key, ttl_ms)]
        commands += [(name, count, *more) for name, count, more in self._waits]
        replies = await (self._on_its_node if self._is_cluster else self._piped)(key, commands)
        for (name, wanted, _), reply in zip(self._waits, replies[1:], strict=True):
            have = int(reply[0] if name == "WAITAOF" else reply)
            if have < wanted:
                where = "not on disk" if name == "WAITAOF" else f"with {have} of {wanted} replicas"
                raise StoreUnavailable(
                    f"what was written is {where} after {self._wait_ms} ms",
                    cure="See the server's disk and replicas; BOT_WAIT_FOR_DISK and BOT_WAIT_FOR_REPLICAS ask for them.",
                )

    async def _piped(self, _: str, commands: list[tuple[Any, ...]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for words in commands:
                pipe.execute_command(*words)
            replies: list[Any] = await pipe.execute()
            return replies

    async def _on_its_node(self, key: str, commands: list[tuple[Any, ...]]) -> list[Any]:
        node = self._client.get_node_from_key(key)
        connection = node.acquire_connection()
        replies = []
        try:
            await connection.connect()
            for words in commands:
                await connection.send_command(*words)
                replies.append(await connection.read_response())
        finally:
            node.release(connection)
        return replies
