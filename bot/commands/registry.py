"""Registry of the chat commands: finds, authorizes and runs them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from bot.commands.call import Call
from bot.commands.command import Command
from bot.errors import NOT_LISTED, AccessRefused, CommandError, SettingsError


class Registry:
    """Commands by name and alias.

    Raises:
        SettingsError: two have one name.
    """

    def __init__(self, commands: Iterable[Command]) -> None:
        self.commands = tuple(commands)
        self._by_name: dict[str, Command] = {}
        for command in self.commands:
            for name in command.names:
                if name in self._by_name:
                    raise SettingsError(
                        f"two chat commands are called {name!r}",
                        cure="Uninstall one of the packages that bring them.",
                    )
                self._by_name[name] = command

    @property
    def admin_actions(self) -> tuple[str, ...]:
        """Names and aliases of the commands that only admins may use where several people talk."""
        return tuple(
            name for command in self.commands if command.admin_in_shared for name in command.names
        )

    def find(self, text: str) -> Command | None:
        """The command that `text` calls, or None."""
        return self._by_name.get(_name_and_arguments(text)[0].lower())

    def is_reading(self, text: str) -> bool:
        """Whether `text` changes nothing, so that it need not wait for a running answer."""
        command = self.find(text)
        return command is None or command.reads_only

    async def run(self, call: Call) -> None:
        """Authorize and run `call.incoming.text`. A mistake or a refusal is told to the person.

        Raises:
            StoreError: Redis failed; the caller decides whether to try again.
        """
        name, arguments = _name_and_arguments(call.incoming.text)
        try:
            command = self._existing(name)
            await _authorize(call, command)
            await command.run(replace(call, arguments=arguments))
        except (CommandError, AccessRefused) as error:
            await call.post(error.user_text)

    def _existing(self, name: str) -> Command:
        """Raises CommandError, which names the nearest, where there is none."""
        command = self._by_name.get(name.lower())
        if command is None:
            near = difflib.get_close_matches(name.lower(), self._by_name, n=1)
            hint = f"Did you mean “{near[0]}”? " if near else ""
            raise CommandError(f"I know no command “{name}”. {hint}“help” lists them all.")
        return command


async def _authorize(call: Call, command: Command) -> None:
    """Raises AccessRefused."""
    access, speaker = call.services.access, call.incoming.speaker
    if await access.allowed(call.address, speaker, command.name):
        return
    raise AccessRefused(
        f"“{command.name}” is for admins here, because it concerns everybody in this conversation."
        if access.admitted(call.address, speaker)
        else NOT_LISTED
    )


def _name_and_arguments(text: str) -> tuple[str, str]:
    """Split a call at its first blank, of whatever kind."""
    name, *arguments = text.split(maxsplit=1) or [""]
    return name, "".join(arguments).strip()
