"""What people can tell the bot to do. One file a command; its docstring is its line in the help."""

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
from bot.commands.registry import Registry

COMMANDS = Registry((new, reset, stop, retry, undo, status, export, leave, help, whoami))

__all__ = ["COMMANDS", "Call", "Registry", "Services"]
