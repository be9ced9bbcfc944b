"""Key-value store in memory."""

from __future__ import annotations


class InMemoryKeyValueStore(dict[str, str]):
    """`KeyValueStore` in memory."""

    async def get(self, name: str) -> str:  # type: ignore[override]
        return super().get(name, "")

    async def set(self, name: str, value: str, *, ttl_s: float) -> None:
        self[name] = value

    async def delete(self, name: str) -> None:
        self.pop(name, None)
