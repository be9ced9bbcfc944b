"""What can happen in Slack, in our words. `parse` makes these from Slack's payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.conversation import Attachment, PlaceKind


@dataclass(frozen=True, slots=True)
class MessagePosted:
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
class MessageEdited:
    """A message has other words now. `edited_ts`: when."""

    message: MessagePosted
    edited_ts: str


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message is gone; `said` is what it was, as far as the event tells."""

    message: MessagePosted


@dataclass(frozen=True, slots=True)
class ReactionChanged:
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
class AppHomeOpened:
    team: str
    user: str
    tab: str
    channel: str = ""


@dataclass(frozen=True, slots=True)
class AssistantThreadStarted:
    """Somebody opened a thread with the app declared as an agent, and has message nothing yet."""

    team: str
    user: str
    channel: str
    thread_ts: str


@dataclass(frozen=True, slots=True)
class AgentSessionStopped:
    """Slack's own stop button."""

    team: str
    user: str
    channel: str
    thread_ts: str
    external: bool = False


@dataclass(frozen=True, slots=True)
class AppUninstalled:
    """The app was uninstalled, or its tokens revoked."""

    team: str
    enterprise: str = ""
    bot_revoked: bool = True


@dataclass(frozen=True, slots=True)
class BlockAction:
    """A button."""

    team: str
    user: str
    user_team: str
    action: str
    value: str
    interaction_id: str
    channel: str = ""
    message_ts: str = ""
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class MessageShortcut:
    """A message shortcut. `said` is the message it was used on; `user` used it."""

    message: MessagePosted
    user: str
    user_team: str
    callback: str
    interaction_id: str
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """The slash command; `text` is what followed it."""

    team: str
    user: str
    channel: str
    kind: PlaceKind
    text: str
    interaction_id: str
    response_url: str = ""


SlackEvent = (
    MessagePosted
    | MessageEdited
    | MessageDeleted
    | ReactionChanged
    | AppHomeOpened
    | AssistantThreadStarted
    | AgentSessionStopped
    | AppUninstalled
    | BlockAction
    | MessageShortcut
    | SlashCommand
)
