"""A command that is being run: who called it where, and the services it works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.ports import Reply

if TYPE_CHECKING:
    from bot.access import Authorizer
    from bot.memory.history import RedisHistory
    from bot.memory.sessions import Sessions
    from bot.settings import Settings
    from bot.turns.handler import Handler
    from bot.turns.stop_signal import StopSignal


class Services(Protocol):
    """What commands work with."""

    settings: Settings
    history: RedisHistory
    sessions: Sessions
    handler: Handler
    access: Authorizer

    async def stop(self, session: SessionKey, speaker: Speaker, *, before: str = "") -> bool: ...


Prepare = Callable[[Turn], Awaitable[tuple[Turn, tuple[str, ...]]]]


async def _as_it_is(turn: Turn) -> tuple[Turn, tuple[str, ...]]:
    return turn, ()


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command.

    Attributes:
        arguments: what followed its name.
        id: stable over repetitions of the same call.
        item: the inbox's id of it, or `""`; what came later is later.
        fence: the worker's token, or 0.
        stopper: ends what the command starts (`retry`).
        prepare: reads a turn's attachments again, where there can be any: the turn, and its pictures.
    """

    services: Services
    incoming: Incoming
    reply: Reply
    arguments: str = ""
    id: str = ""
    item: str = ""
    fence: int = 0
    stopper: StopSignal | None = None
    prepare: Prepare = _as_it_is

    @property
    def session(self) -> SessionKey:
        return self.incoming.session

    @property
    def address(self) -> Address:
        return self.incoming.address

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> None:
        await self.reply.post(text, file=file)
