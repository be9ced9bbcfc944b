"""The registry that adapters render, and what a command is given."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.errors import AccessRefused, CommandError
from bot.ports import CommandSpec, Reply

if TYPE_CHECKING:
    from bot.access import Authorizer
    from bot.handler import Handler
    from bot.history import RedisHistory
    from bot.sessions import Sessions
    from bot.settings import Settings
    from bot.thinking import Stop


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
    stopper: Stop | None = None
    prepare: Prepare = _as_it_is

    @property
    def session(self) -> SessionKey:
        return self.incoming.session

    @property
    def address(self) -> Address:
        return self.incoming.address

    async def say(self, text: str, *, file: tuple[str, bytes] | None = None) -> None:
        await self.reply.say(text, file=file)


class Registry:
    """Commands by name and alias."""

    def __init__(self, modules: tuple[ModuleType, ...]) -> None:
        self._modules: dict[str, ModuleType] = {}
        self.specs: tuple[CommandSpec, ...] = tuple(_spec(module) for module in modules)
        for module, spec in zip(modules, self.specs, strict=True):
            for name in (spec.name, *spec.aliases):
                self._modules[name] = module

    @property
    def admin_actions(self) -> tuple[str, ...]:
        """Commands that only admins may use where several people talk, under each of their names."""
        return tuple(
            name
            for spec in self.specs
            if spec.admin_in_shared
            for name in (spec.name, *spec.aliases)
        )

    def known(self, name: str) -> bool:
        return name.lower() in self._modules

    def spec(self, name: str) -> CommandSpec:
        """The command of that name or alias.

        Raises:
            CommandError: there is none; names the nearest.
        """
        module = self._modules.get(name.lower())
        if module is None:
            near = difflib.get_close_matches(name.lower(), self._modules, n=1)
            hint = f"Did you mean “{near[0]}”? " if near else ""
            raise CommandError(f"I know no command “{name}”. {hint}“help” lists them all.")
        return _spec(module)

    def is_reading(self, text: str) -> bool:
        """Whether it changes nothing, so that it need not wait for a running answer."""
        module = self._modules.get(_words(text)[0].lower())
        return module is None or bool(getattr(module, "READS_ONLY", False))

    async def run(self, call: Call) -> None:
        """Authorize and run `call.incoming.text`. What goes wrong is told to the person.

        Raises:
            StoreError: Redis failed; the caller decides whether to try again.
        """
        name, arguments = _words(call.incoming.text)
        try:
            spec = self.spec(name)
            access = call.services.access
            if not await access.allowed(call.address, call.incoming.speaker, spec.name):
                raise AccessRefused(
                    f"“{spec.name}” is for admins here, because it concerns everybody in this conversation."
                    if access.admitted(call.address, call.incoming.speaker)
                    else "You are not on the list of people I talk with."
                )
            module: Any = self._modules[spec.name]
            await module.run(replace(call, arguments=arguments))
        except (CommandError, AccessRefused) as error:
            await call.say(error.user_text)


def _words(text: str) -> tuple[str, str]:
    """The command's name and its arguments, whatever blank is between them."""
    name, *arguments = text.split(maxsplit=1) or [""]
    return name, "".join(arguments).strip()


def _spec(module: ModuleType) -> CommandSpec:
    return CommandSpec(
        name=module.__name__.rpartition(".")[2],
        summary=(module.__doc__ or "").strip().splitlines()[0],
        aliases=tuple(getattr(module, "ALIASES", ())),
        admin_in_shared=bool(getattr(module, "ADMIN_IN_SHARED", False)),
        usage=str(getattr(module, "USAGE", "")),
    )
