"""Base class of QueuedCore and DirectCore."""

from __future__ import annotations

from bot.commands.call import Services, StopSession
from bot.conversation import Address, SessionKey, Speaker
from bot.memory.sessions import Sessions
from bot.ports import CommandSpec
from bot.wiring import Components


class BaseCore:
    """Passes calls of adapters on to settings, rights, memory and commands.

    Attributes:
        services: the services that commands of this core work with.
    """

    def __init__(self, components: Components, services: Services) -> None:
        self.settings = components.settings
        self.vault = components.vault
        self.key_values = components.key_values
        self.services = services
        self._registry = components.commands

    async def stop(self, session: SessionKey, speaker: Speaker) -> bool:
        return await self.services.stop(session, speaker)

    async def takes_part(self, session: SessionKey) -> bool:
        return await self.services.sessions.takes_part(session)

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        return await self.services.access.allowed(address, speaker, action)

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        await self.services.sessions.migrate(old, new)

    async def totals(self, platform: str, account: str) -> tuple[int, int]:
        return await self.services.sessions.totals(platform, account)

    def commands(self) -> tuple[CommandSpec, ...]:
        return self.services.commands


def command_services(components: Components, sessions: Sessions, stop: StopSession) -> Services:
    """The services of commands: those of `components`, with the sessions and the stop of a core."""
    return Services(
        settings=components.settings,
        history=components.history,
        sessions=sessions,
        handler=components.handler,
        access=components.access,
        commands=components.commands.commands,
        stop=stop,
    )
