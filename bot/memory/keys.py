"""Redis keys of a conversation's history."""

from __future__ import annotations

from bot.conversation import SessionKey


class HistoryKeys:
    """Names of the Redis keys."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def of(self, session: SessionKey, part: str) -> str:
        return f"{self.prefix}:{{{session}}}:{part}"

    def archive(self, session: SessionKey, conversation: str) -> str:
        """The turns of an earlier conversation, by its id."""
        return self.of(session, f"old:{conversation}")

    def state_turns_index(self, session: SessionKey) -> tuple[str, str, str]:
        base = f"{self.prefix}:{{{session}}}:"
        return base + "state", base + "turns", base + "index"

    def named(self, session: SessionKey) -> dict[str, str]:
        """The keys `state`, `turns` and `index`, as scripts name them."""
        state, turns, index = self.state_turns_index(session)
        return {"state": state, "turns": turns, "index": index}
