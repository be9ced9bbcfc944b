"""Redis keys of a conversation's history."""

from __future__ import annotations

from bot.conversation import SessionKey


class HistoryKeys:
    """Names of Redis keys."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def of(self, session: SessionKey, part: str) -> str:
        return f"{self.prefix}:{{{session}}}:{part}"

    def state_turns_index(self, session: SessionKey) -> tuple[str, str, str]:
        base = f"{self.prefix}:{{{session}}}:"
        return base + "state", base + "turns", base + "index"
