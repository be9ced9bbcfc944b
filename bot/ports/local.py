"""Ports of conversations on this machine: `keepthread chat`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from bot.conversation import SessionKey
from bot.ports.core import Core
from bot.ports.platform import Connection


class LocalCore(Core, Protocol):
    """`Core` of `keepthread chat`: it works in this process, for one connection."""

    def connect(self, connection: Connection) -> None:
        """Name the connection that replies come from; once, before the first `enqueue`."""
        ...


@runtime_checkable
class LocalAdapter(Protocol):
    """`Adapter` of conversations on this machine, for `keepthread chat`.

    Its people have a shell here, and with it the data: they may do everything.
    """

    name: str

    def session_key(self, name: str) -> SessionKey:
        """Key of the conversation that is called `name` on the command line."""
        ...

    async def chat(self, core: LocalCore, *, session_name: str, banner: str) -> int:
        """Talk until the person leaves. Returns the exit status."""
        ...
