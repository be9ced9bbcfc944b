"""What can happen in Slack, in our words. `parse` makes these from Slack's payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.conversation import Attachment, PlaceKind


@dataclass(frozen=True, slots=True)
class Said:
    """A message.

    `user_team`: the speaker's home as the event tells it, or `""`. `text` is raw mrkdwn. `external`: people
    from other workspaces may be there. `mentions_bot`: Slack itself says so; its twin says nothing of it.
    """

    team: str
    channel: str
    kind: PlaceKind
    user: str
    ts: str
    text: str = ""
    thread_ts: str = ""
    user_team: str = ""
    event_id: str = ""
    files: tuple[Attachment, ...] = ()
    quoted: str = ""
    by_bot: bool = False
    external: bool = False
    in_agent_thread: bool = False
    mentions_bot: bool = False


@dataclass(frozen=True, slots=True)
class Edited:
    """A message has other words now. `edited_ts`: when."""

    said: Said
    edited_ts: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message is gone; `said` is what it was, as far as the event tells."""

    said: Said


@dataclass(frozen=True, slots=True)
class Reacted:
    """A thumb under a message of `author`, put there or taken back."""

    team: str
    channel: str
    user: str
    author: str
    ts: str
    mark: Literal["up", "down"]
    added: bool
    event_id: str = ""
    external: bool = False


@dataclass(frozen=True, slots=True)
class HomeOpened:
    team: str
    user: str
    tab: str
    channel: str = ""


@dataclass(frozen=True, slots=True)
class AgentThreadOpened:
    """Somebody opened a thread with the app declared as an agent, and has said nothing yet."""

    team: str
    user: str
    channel: str
    thread_ts: str


@dataclass(frozen=True, slots=True)
class AgentStopped:
    """Slack's own stop button."""

    team: str
    user: str
    channel: str
    thread_ts: str
    external: bool = False


@dataclass(frozen=True, slots=True)
class Removed:
    """The app was uninstalled, or its tokens revoked."""

    team: str
    enterprise: str = ""
    bot_revoked: bool = True


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button."""

    team: str
    user: str
    user_team: str
    action: str
    value: str
    press_id: str
    channel: str = ""
    message_ts: str = ""
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A message shortcut. `said` is the message it was used on; `user` used it."""

    said: Said
    user: str
    user_team: str
    callback: str
    press_id: str
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class Slashed:
    """The slash command; `text` is what followed it."""

    team: str
    user: str
    channel: str
    kind: PlaceKind
    text: str
    press_id: str
    response_url: str = ""


Happened = (
    Said
    | Edited
    | Deleted
    | Reacted
    | HomeOpened
    | AgentThreadOpened
    | AgentStopped
    | Removed
    | Pressed
    | Shortcut
    | Slashed
)
