"""Parser of a line to an Incoming. Pure."""

from __future__ import annotations

import re

from bot.conversation import Address, Incoming, SessionKey, Speaker

PLATFORM = "console"
SPEAKER = Speaker("you")
"""The one person of a conversation in the terminal."""

_COMMAND = re.compile(r"/([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
"""A command with its arguments; not `/etc/passwd`, nor a line that begins with a blank."""

_EXIT_COMMANDS = ("/quit", "/exit")


def session_of(name: str) -> SessionKey:
    """Session key of the conversation called `name`."""
    return SessionKey(PLATFORM, "local", name)


def parse(line: str, session: SessionKey) -> Incoming | None:
    """The message or command of a line; None if the line is blank."""
    if not line.strip():
        return None
    address = Address(session, recipient_id=SPEAKER.id)
    if command := _COMMAND.fullmatch(line.rstrip()):
        text = " ".join(part for part in command.groups() if part)
        return Incoming(address, SPEAKER, text, kind="command")
    return Incoming(address, SPEAKER, line)


def is_exit(line: str) -> bool:
    """Whether the line is a command to leave."""
    return line.strip().lower() in _EXIT_COMMANDS
