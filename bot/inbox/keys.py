"""Redis keys of the inbox."""

from __future__ import annotations

import hashlib

from bot.conversation import SessionKey


class InboxKeys:
    """Names of the Redis keys, and the shard of each session."""

    __slots__ = ("prefix", "shards")

    def __init__(self, prefix: str, shards: int) -> None:
        self.prefix = prefix
        self.shards = shards

    def shard(self, session: SessionKey) -> int:
        digest = hashlib.blake2b(str(session).encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") % self.shards

    def of(self, shard: int, part: str) -> str:
        return f"{self.prefix}:{{q{shard}}}:{part}"

    @property
    def stop_channel(self) -> str:
        """The channel to which the lanes of stopped turns are published, for all workers."""
        return f"{self.prefix}:stops"
