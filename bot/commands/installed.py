"""Chat commands of installed packages, found by entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from bot.commands.command import Command
from bot.errors import SettingsError

GROUP = "keepthread.chat_commands"


def installed_commands() -> tuple[Command, ...]:
    """Commands of the entry-point group `keepthread.chat_commands`, by name.

    Raises:
        SettingsError: one cannot be loaded.
    """
    return tuple(_load(point) for point in sorted(entry_points(group=GROUP)))


def _load(point: EntryPoint) -> Command:
    cure = f"Correct the package that brings {point.value}, or uninstall it."
    try:
        command = point.load()
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"chat command {point.name!r}: {error}", cure=cure) from error
    if not isinstance(command, Command):
        raise SettingsError(
            f"chat command {point.name!r}: {point.value} is no bot.commands.Command", cure=cure
        )
    return command
