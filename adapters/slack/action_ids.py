"""Action ids of buttons and shortcuts, and the format of a button's value."""

from __future__ import annotations

from bot.conversation import SessionKey

PLATFORM = "slack"
"""First part of the session keys of Slack conversations."""

STOP = "keepthread_stop"
"""Button that stops the answer being written. Its value holds the session."""

RETRY = "keepthread_again"
"""Button that answers the latest question again. Its value holds the session."""

FEEDBACK = "keepthread_feedback"
"""Feedback buttons on a finished answer. Their values hold the session and `up` or `down`."""

OFFER = "keepthread_offer"
"""Prefix of ids of offered buttons (`keepthread_offer_0`). Their values hold the session and a command, or none."""

HOME_RESET = "keepthread_home_reset"
HOME_EXPORT = "keepthread_home_export"
"""Buttons of App Home. Their values hold the session."""

RESET_SHORTCUT = "keepthread_reset_conversation"
FORGET_SHORTCUT = "keepthread_forget_message"
"""Callback ids of message shortcuts."""

SLASH_COMMAND = "/keepthread"


def button_value(session: SessionKey, argument: str = "") -> str:
    """Value of a button; `read_button` is its inverse. Slack takes 2,000 characters."""
    return f"{session} {argument}"


def read_button(value: str) -> tuple[SessionKey, str] | None:
    """The session and the argument in a button's value; None if it is of another app."""
    session, _, argument = value.partition(" ")
    try:
        return SessionKey.parse(session), argument
    except ValueError:
        return None
