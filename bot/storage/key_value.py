"""Key-value store for small facts that adapters share between processes: `<prefix>:note:<name>`."""

from __future__ import annotations

from typing import Any

from bot.storage.errors import store_errors


class RedisKeyValueStore:
    """KeyValueStore port on Redis. Every entry has a time to live. Secrets go into the vault instead."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = f"{prefix}:note:"

    async def get(self, name: str) -> str:
        """The value, or `""` if there is none."""
        with store_errors():
            value: bytes | None = await self._client.get(self._prefix + name)
        return value.decode() if value else ""

    async def set(self, name: str, value: str, *, ttl_s: float) -> None:
        with store_errors():
            await self._client.set(self._prefix + name, value, px=int(ttl_s * 1000))

    async def delete(self, name: str) -> None:
        with store_errors():
            await self._client.unlink(self._prefix + name)
