"""Sentences that only the Telegram adapter says: greeting, strangers, unreadable content."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from bot.ports import CommandSpec

ASK_FOR_QUESTION = (
    "Yes? Write what you want to know in the same message, or answer a message and mention me."
)
FORGET_HOW = "Answer the message that I should forget with /forget."
FORGOTTEN = "I forget this message and what hangs on it."
ADMINS_ONLY = "That is for admins here, because it concerns everybody in this conversation."
STOPPED = "Stopped."
NOTHING_TO_STOP = "There is nothing to stop."
THANKS = "Thank you!"
TAKEN_BACK = "Taken back."


def stranger_line(place: str, *, is_shared: bool) -> str:
    """Line for people who are not admitted: what to ask for."""
    where = "in groups" if is_shared else "with people"
    return (
        f"Hello! I only talk {where} I was told about. Please ask the person who runs me to add "
        f"`telegram:{place}` to BOT_ALLOW and to restart me."
    )


def with_slashes(text: str, names: Collection[str]) -> str:
    """`text` of the core with its commands written as in Telegram: “retry” becomes /retry."""

    def with_slash(found: re.Match[str]) -> str:
        return f"/{found[1]}" if found[1].partition(" ")[0] in names else found[0]

    return re.sub(r"[“`]([a-z]+(?: [a-z]+)?)[”`]", with_slash, text)


def cannot_read(kind: str) -> str:
    return f"I cannot read {kind}, sorry. Text, pictures, voice messages and documents are fine."


def greeting(commands: Sequence[CommandSpec], *, is_shared: bool) -> str:
    """The answer to /start."""
    how = (
        "Mention me or answer one of my messages, and I join in."
        if is_shared
        else "Just write to me: text, pictures, voice messages, documents."
    )
    useful = [spec for spec in commands if spec.name in ("new", "reset", "stop", "retry", "help")]
    lines = "\n".join(f"/{spec.name} – {spec.summary}" for spec in useful)
    return (
        f"Hello! {how} I remember this conversation, and only this one: other chats and topics are "
        f"others.\n\n{lines}\n/forget – As an answer to a message: forget it."
    )
