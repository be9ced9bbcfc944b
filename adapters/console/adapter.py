"""Console adapter: a conversation in the terminal or through pipes, without a service."""

from __future__ import annotations

from adapters.console.connection import ConsoleConnection, open_connection
from adapters.console.parse import PLATFORM, session_of
from adapters.console.settings import ConsoleSettings
from bot.conversation import SessionKey
from bot.ports import Check, Core, LocalCore
from bot.settings import Settings


class ConsoleAdapter:
    """Adapter of `keepthread chat`. `serve` never opens it: a service has no terminal."""

    name = PLATFORM
    settings_class = ConsoleSettings
    setup_hint = ""

    def is_configured(self, settings: ConsoleSettings) -> bool:
        return False

    async def open(self, core: Core, settings: ConsoleSettings) -> ConsoleConnection:
        return open_connection(core, "default", "")

    async def check(self, core_settings: Settings, settings: ConsoleSettings) -> list[Check]:
        return []  # it has no settings

    def session_key(self, name: str) -> SessionKey:
        return session_of(name)

    async def chat(self, core: LocalCore, *, session_name: str, banner: str) -> int:
        """Answer lines until the person leaves or the input ends. Exit status 1 if a piped line failed."""
        connection = open_connection(core, session_name, banner)
        core.connect(connection)
        try:
            await connection.receive()
        finally:
            await connection.aclose()
        return connection.exit_status


ADAPTER = ConsoleAdapter()
