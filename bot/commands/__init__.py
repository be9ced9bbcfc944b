"""Chat commands, one file each, and those that installed packages add."""

from bot.commands import (
    export,
    help,  # noqa: A004  the command's name
    leave,
    new,
    reset,
    retry,
    status,
    stop,
    undo,
    whoami,
)
from bot.commands.call import Call, Services
from bot.commands.command import Command
from bot.commands.installed import installed_commands
from bot.commands.registry import Registry

BUILTIN: tuple[Command, ...] = (
    new.COMMAND,
    reset.COMMAND,
    stop.COMMAND,
    retry.COMMAND,
    undo.COMMAND,
    status.COMMAND,
    export.COMMAND,
    leave.COMMAND,
    help.COMMAND,
    whoami.COMMAND,
)


def load_commands() -> Registry:
    """Registry of the built-in commands and of those that installed packages add.

    Raises:
        SettingsError: one cannot be loaded, or two have one name.
    """
    return Registry((*BUILTIN, *installed_commands()))


__all__ = ["BUILTIN", "Call", "Command", "Registry", "Services", "load_commands"]
