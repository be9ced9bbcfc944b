"""Call of a chat command: who called it where, and the services it works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.ports import CommandSpec, Reply

if TYPE_CHECKING:
    from bot.access import Authorizer
    from bot.memory.history import RedisHistory
    from bot.memory.sessions import Sessions
    from bot.settings import Settings
    from bot.turns.handler import Handler
    from bot.turns.stop_signal import StopSignal


class StopSession(Protocol):
    """Stops a conversation for a speaker: its running turn, and what waits before the message `before`."""

    async def __call__(self, session: SessionKey, speaker: Speaker, *, before: str = "") -> bool:
        """False: there was nothing to stop."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Services that commands work with."""

    settings: Settings
    history: RedisHistory
    sessions: Sessions
    handler: Handler
    access: Authorizer
    commands: tuple[CommandSpec, ...]
    stop: StopSession


Prepare = Callable[[Turn], Awaitable[tuple[Turn, tuple[str, ...]]]]
"""Reads a turn's attachments: the turn with their text, and its pictures as `data:` addresses."""


async def _unprepared(turn: Turn) -> tuple[Turn, tuple[str, ...]]:
    return turn, ()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command.

    Attributes:
        arguments: text after the command's name.
        id: the same for each redelivery of the call.
        item: id of the call in the inbox, or `""`; later messages have later ids.
        fence: fencing token of the worker's lease; 0 without a worker.
        stop: ends the answer that the command starts (`retry`).
        prepare: reads the attachments of a turn that is answered again.
    """

    services: Services
    incoming: Incoming
    reply: Reply
    arguments: str = ""
    id: str = ""
    item: str = ""
    fence: int = 0
    stop: StopSignal | None = None
    prepare: Prepare = _unprepared

    @property
    def session(self) -> SessionKey:
        return self.incoming.session

    @property
    def address(self) -> Address:
        return self.incoming.address

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> None:
        await self.reply.post(text, file=file)
