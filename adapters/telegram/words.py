"""What this adapter says by itself."""

from __future__ import annotations

from collections.abc import Sequence

from bot.ports import CommandSpec

SAY_MORE = (
    "Yes? Write what you want to know in the same message, or answer a message and mention me."
)
FORGET_HOW = "Answer the message that I should forget with /forget."
FORGOTTEN = "I forget this message and what hangs on it."
ADMINS_ONLY = "That is for admins here, because it concerns everybody in this conversation."
NOT_LISTED = "You are not on the list of people I talk with."
STOPPED = "Stopped."
NOTHING_TO_STOP = "There is nothing to stop."
THANKS = "Thank you!"
TAKEN_BACK = "Taken back."


def stranger_line(place: str, *, is_shared: bool) -> str:
    """For people who are not admitted: what to ask for."""
    if is_shared:
        return f"I am not allowed to talk in this group yet. Add `telegram:{place}` to BOT_ALLOW and restart me."
    return (
        "Hello! I only talk with people I was told about. Please ask the person who runs me to add "
        f"`telegram:{place}` to BOT_ALLOW."
    )


def cannot_read(what: str) -> str:
    return f"I cannot read {what}, sorry. Text, pictures, voice messages and documents are fine."


def greeting(commands: Sequence[CommandSpec], *, is_shared: bool) -> str:
    """The answer to /start."""
    how = (
        "Mention me or answer one of my messages, and I join in."
        if is_shared
        else "Just write to me: text, pictures, voice messages, documents."
    )
    useful = [one for one in commands if one.name in ("new", "reset", "stop", "retry", "help")]
    lines = "\n".join(f"/{one.name} – {one.summary}" for one in useful)
    return (
        f"Hello! {how} I remember this conversation, and only this one: other chats and topics are "
        f"others.\n\n{lines}\n/forget – As an answer to a message: forget it."
    )
