"""The ids of everything people can press, and what a button carries. Shared by what draws and what hears."""

from __future__ import annotations

from bot.conversation import SessionKey

PLATFORM = "slack"
"""First part of every session key of ours."""

STOP = "keepthread_stop"
"""Button: stop the answer that is being written. Carries the session."""

AGAIN = "keepthread_again"
"""Button: answer the latest question again. Carries the session."""

FEEDBACK = "keepthread_feedback"
"""Feedback buttons on a finished answer. Carry the session and `up` or `down`."""

OFFER = "keepthread_offer"
"""Prefix of the ids of offered buttons (`keepthread_offer_0`). Carry the session and a command, or none."""

HOME_RESET = "keepthread_home_reset"
HOME_EXPORT = "keepthread_home_export"
"""Buttons of App Home. Carry the session."""

RESET_SHORTCUT = "keepthread_reset_conversation"
FORGET_SHORTCUT = "keepthread_forget_message"
"""Message shortcuts, by callback id."""

SLASH_COMMAND = "/keepthread"


def button_value(session: SessionKey, word: str = "") -> str:
    """What a button carries, to be undone by `read_button`. Slack takes 2,000 characters."""
    return f"{session} {word}"


def read_button(value: str) -> tuple[SessionKey, str] | None:
    """The session and the word of a button; None if it is none of ours."""
    session, _, word = value.partition(" ")
    try:
        return SessionKey.parse(session), word
    except ValueError:
        return None
