"""From a line to what the core understands. Pure."""

from __future__ import annotations

import re

from bot.conversation import Address, Incoming, SessionKey, Speaker

PLATFORM = "console"
SPEAKER = Speaker("you")
"""Whoever sits here: a conversation in the terminal has one person."""

_COMMAND = re.compile(r"/([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
"""`/etc/passwd` and what begins with a blank are no commands."""

_GOODBYES = ("/quit", "/exit")


def session_of(name: str) -> SessionKey:
    """The conversation called `name`."""
    return SessionKey(PLATFORM, "local", name)


def parse(line: str, session: SessionKey) -> Incoming | None:
    """What was said, or None if nothing was."""
    if not line.strip():
        return None
    address = Address(session, recipient_id=SPEAKER.id)
    if command := _COMMAND.fullmatch(line.rstrip()):
        text = " ".join(part for part in command.groups() if part)
        return Incoming(address, SPEAKER, text, kind="command")
    return Incoming(address, SPEAKER, line)


def is_goodbye(line: str) -> bool:
    """Whether the person asks to leave."""
    return line.strip().lower() in _GOODBYES
