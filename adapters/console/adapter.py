"""Console adapter: opens its own core, for a talk without a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from adapters.console.settings import ConsoleSettings
from bot.ports import Check, Connection, Core
from bot.settings import Settings, SettingsBase

if TYPE_CHECKING:
    pass
from adapters.console.connection import ConsoleConnection, _connection


class OwnCore(Core, Protocol):
    """The core of `keepthread chat`, which runs in this process and learns of its one connection."""

    def connect(self, connection: Connection) -> None: ...


class ConsoleAdapter:
    """`keepthread chat`. `serve` never opens it: there is nobody at its terminal."""

    name = "console"
    settings_class: type[SettingsBase] = ConsoleSettings

    def configured(self, settings: Settings) -> bool:
        return False

    async def open(self, core: Core) -> ConsoleConnection:
        return _connection(core, "default", "")

    async def check(self, settings: Settings) -> list[Check]:
        return []  # nothing here can be set up wrongly

    async def chat(self, core: OwnCore, *, session_name: str, banner: str) -> int:
        """Talk until the person leaves, or the lines end. The exit status: 1 if a piped line failed."""
        connection = _connection(core, session_name, banner)
        core.connect(connection)
        try:
            await connection.receive()
        finally:
            await connection.aclose()
        return connection.exit_status


ADAPTER = ConsoleAdapter()
