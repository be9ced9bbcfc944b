"""The registry that adapters render, and what a command is given."""

from __future__ import annotations

import difflib
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bot.commands.call import Call
from bot.errors import NOT_LISTED, AccessRefused, CommandError
from bot.ports import CommandSpec

if TYPE_CHECKING:
    pass


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
                    else NOT_LISTED
                )
            module: Any = self._modules[spec.name]
            await module.run(replace(call, arguments=arguments))
        except (CommandError, AccessRefused) as error:
            await call.post(error.user_text)


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
