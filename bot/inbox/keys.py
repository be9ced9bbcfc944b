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

    def conversation(self, shard: int, lane: str) -> dict[str, str]:
        """Keys of a conversation, and of the lists of its shard, by their names in scripts."""
        return {
            "ready": self.of(shard, "ready"),
            "retry": self.of(shard, "retry"),
            "conv": self.of(shard, f"conv:{lane}"),
            "box": self.of(shard, f"box:{lane}"),
        }

    @property
    def stop_channel(self) -> str:
        """The channel to which the lanes of stopped and withdrawn turns are published, for all workers."""
        return f"{self.prefix}:stops"
