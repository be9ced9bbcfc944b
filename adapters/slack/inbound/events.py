"""Slack's events and interactions as dataclasses; `adapters.slack.inbound.parse` makes them from payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.conversation import Attachment, PlaceKind


@dataclass(frozen=True, slots=True)
class MessagePosted:
    """A message was posted.

    Attributes:
        user_team: the speaker's workspace according to the event, or "".
        external: people from other workspaces may be there.
        text: raw mrkdwn of its words, wherever in it they stand; see `adapters.slack.inbound.content`.
        mentions_bot: it is an app_mention event; the message event of the same message does not say so.
        by_bot: an app posted it, perhaps with a person's own token; then `user` is that person.
        bot_id, app_id, app_name: of that app, as far as Slack tells.
        is_unreadable: it holds something, of which nothing can be read.
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
    bot_id: str = ""
    app_id: str = ""
    app_name: str = ""
    external: bool = False
    in_agent_thread: bool = False
    mentions_bot: bool = False
    is_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """A message was edited, at `edited_ts`; its text was `text_before`, raw, or "" if Slack does not tell."""

    message: MessagePosted
    edited_ts: str
    text_before: str = ""


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message was deleted; `message` is its last state, as far as the event holds it."""

    message: MessagePosted


@dataclass(frozen=True, slots=True)
class ReactionChanged:
    """A thumb was added to a message of `author`, or removed."""

    team: str
    channel: str
    user: str
    author: str
    ts: str
    rating: Literal["up", "down"]
    is_added: bool
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
    """A person opened a thread with the app declared as an agent, and has posted nothing yet."""

    team: str
    user: str
    channel: str
    thread_ts: str


@dataclass(frozen=True, slots=True)
class AgentSessionStopped:
    """Slack's own stop button was pressed."""

    team: str
    user: str
    channel: str
    thread_ts: str
    external: bool = False


@dataclass(frozen=True, slots=True)
class AppUninstalled:
    """The app was uninstalled, or its tokens were revoked."""

    team: str
    enterprise: str = ""
    bot_revoked: bool = True


@dataclass(frozen=True, slots=True)
class BlockAction:
    """A button was pressed."""

    team: str
    user: str
    user_team: str
    action_id: str
    value: str
    interaction_id: str
    channel: str = ""
    message_ts: str = ""
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class MessageShortcut:
    """A message shortcut was used on `message` by `user`."""

    message: MessagePosted
    user: str
    user_team: str
    callback_id: str
    interaction_id: str
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """The slash command; `text` is its argument."""

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
