"""Topics of a chat, as the thread of a session key names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

_DIRECT = "direct-"


@dataclass(frozen=True, slots=True)
class Topic:
    """Part of a chat that is a conversation of its own.

    Attributes:
        kind: `thread`: a topic of a forum or of a private chat. `direct`: one person's direct messages to a channel,
            which share a chat id with everybody else's.
        id: its id, unique within its kind and chat.
    """

    kind: Literal["thread", "direct"]
    id: int

    def __str__(self) -> str:
        """The thread of a session key; `parse` is its inverse."""
        return f"{_DIRECT}{self.id}" if self.kind == "direct" else str(self.id)

    @classmethod
    def parse(cls, thread: str) -> Self | None:
        """The topic that `thread` names; None for `""`, which is no topic.

        Raises:
            ValueError: `thread` is not as `str()` writes it.
        """
        if not thread:
            return None
        is_direct = thread.startswith(_DIRECT)
        topic = cls("direct" if is_direct else "thread", int(thread.removeprefix(_DIRECT)))
        if str(topic) != thread:
            raise ValueError(f"not a topic: {thread!r}")
        return topic
