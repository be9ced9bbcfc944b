"""Request to answer a turn."""

from __future__ import annotations

from dataclasses import dataclass

from bot.conversation import Turn


@dataclass(frozen=True, slots=True)
class Request:
    """Turn to be answered, and the conditions of its answer.

    Attributes:
        fence: fencing token of the worker's lease; a write with an older one than history has seen is
            refused. 0: no worker.
        images: `data:` addresses of pictures in the new message.
        replaces: id of the turn whose answer this one replaces (`retry`).
        may_retry: raise errors that may pass by themselves, while nothing was shown, instead of telling
            the person: the inbox tries again.
    """

    turn: Turn
    fence: int = 0
    images: tuple[str, ...] = ()
    replaces: str = ""
    may_retry: bool = False
