"""Parses Slack's payloads into events. Pure: no call, no clock, no setting.

Shapes: https://docs.slack.dev/reference/events and https://docs.slack.dev/reference/interaction-payloads
"""

from __future__ import annotations

from dataclasses import replace

from adapters.slack.action_ids import PLATFORM, read_button
from adapters.slack.api.payload import Json, get_object, get_objects, get_text
from adapters.slack.inbound.content import read_message
from adapters.slack.inbound.events import (
    AgentSessionStopped,
    AppHomeOpened,
    AppUninstalled,
    AssistantThreadStarted,
    BlockAction,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    MessageShortcut,
    ReactionChanged,
    SlackEvent,
    SlashCommand,
)
from bot.conversation import PlaceKind

MESSAGE_SUBTYPES = ("", "file_share", "thread_broadcast", "me_message", "bot_message")
"""Subtypes of message events that hold a message of a person or an app."""

THUMBS_UP, THUMBS_DOWN = ("+1", "thumbsup"), ("-1", "thumbsdown")


def parse(body: Json) -> SlackEvent | None:
    """The event in a payload, or None if the bot does not handle it. Raises nothing, whatever the payload holds."""
    if body.get("type") == "event_callback":
        return _event(body, get_object(body, "event"))
    if body.get("type") == "block_actions":
        return _block_action(body)
    if body.get("type") == "message_action":
        return _message_shortcut(body)
    if body.get("command"):
        return _slash_command(body)
    return None


def installed_team(body: Json) -> str:
    """The workspace whose installation the payload is for; not always the speaker's.

    A button's value holds it: in a shared channel, Slack names the workspace of the person who pressed it.
    """
    for action in get_objects(body, "actions"):
        decoded = read_button(get_text(action, "value"))
        if decoded and decoded[0].platform == PLATFORM:
            return decoded[0].account
    for authorization in get_objects(body, "authorizations"):
        if team := get_text(authorization, "team_id"):
            return team
    return (
        get_text(body, "team_id")
        or get_text(get_object(body, "team"), "id")
        or get_text(get_object(body, "user"), "team_id")
    )


def place_kind(channel: str, channel_type: str = "", name: str = "") -> PlaceKind:
    """The kind of a channel. Ids of direct messages begin with D."""
    if channel_type == "im" or channel.startswith("D"):
        return "private"
    if channel_type == "mpim" or name.startswith("mpdm-"):
        return "group"
    return "channel"


def _event(body: Json, event: Json) -> SlackEvent | None:
    team, kind = installed_team(body), get_text(event, "type")
    user, channel = get_text(event, "user"), get_text(event, "channel")
    if kind == "app_mention" and event.get("edited"):
        return None  # the message_changed event of the same edit also tells the text before it
    if kind in ("message", "app_mention"):
        return _message_event(body, event)
    if kind in ("reaction_added", "reaction_removed"):
        return _reaction_changed(body, event)
    if kind == "app_home_opened":
        return AppHomeOpened(team, user, get_text(event, "tab") or "home", channel)
    if kind == "assistant_thread_started":
        thread = get_object(event, "assistant_thread")
        return AssistantThreadStarted(
            team, *(get_text(thread, name) for name in ("user_id", "channel_id", "thread_ts"))
        )
    if kind == "agent_session_stopped":
        stopped_by = user or get_text(event, "user_id")
        return AgentSessionStopped(
            team, stopped_by, channel, get_text(event, "thread_ts"), _is_external(body)
        )
    if kind == "app_uninstalled":
        return AppUninstalled(team, get_text(body, "enterprise_id"))
    if kind == "tokens_revoked":
        revoked = bool(get_object(event, "tokens").get("bot"))
        return AppUninstalled(team, get_text(body, "enterprise_id"), revoked)
    return None


def _message_event(
    body: Json, event: Json
) -> MessagePosted | MessageEdited | MessageDeleted | None:
    subtype = get_text(event, "subtype")
    if subtype in MESSAGE_SUBTYPES:
        return _message_posted(body, event, event)
    if subtype == "message_changed":
        now, before = get_object(event, "message"), get_object(event, "previous_message")
        message = _message_posted(body, event, now)
        if now.get("subtype") == "tombstone":  # deleted, with replies below it
            return MessageDeleted(replace(message, user=get_text(before, "user") or message.user))
        content = read_message(before)
        is_same = before and (content.text, content.quoted) == (message.text, message.quoted)
        if is_same or get_text(now, "subtype") not in MESSAGE_SUBTYPES:
            return None  # a link was unfurled, or a reply counted
        edited_ts = get_text(get_object(now, "edited"), "ts") or get_text(event, "ts")
        return MessageEdited(message, edited_ts, content.text)
    if subtype == "message_deleted":
        before = dict(get_object(event, "previous_message"))
        before.setdefault("ts", event.get("deleted_ts"))
        return MessageDeleted(_message_posted(body, event, before))
    return None


def _message_posted(body: Json, event: Json, message: Json) -> MessagePosted:
    channel = get_text(event, "channel")
    thread = get_object(message, "assistant_thread") or get_object(event, "assistant_thread")
    content, bot = read_message(message), get_object(message, "bot_profile")
    return MessagePosted(
        team=installed_team(body),
        channel=channel,
        kind=place_kind(channel, get_text(event, "channel_type")),
        user=get_text(message, "user"),
        ts=get_text(message, "ts"),
        text=content.text,
        thread_ts=get_text(message, "thread_ts"),
        user_team=get_text(message, "user_team") or get_text(message, "team"),
        event_id=_event_id(body),
        files=content.files,
        quoted=content.quoted,
        is_unreadable=content.is_unreadable,
        by_bot=bool(message.get("bot_id") or message.get("bot_profile")),
        bot_id=get_text(message, "bot_id") or get_text(bot, "id"),
        app_id=get_text(message, "app_id") or get_text(bot, "app_id"),
        app_name=get_text(message, "username") or get_text(bot, "name"),
        external=_is_external(body),
        in_agent_thread=bool(thread),
        mentions_bot=event.get("type") == "app_mention",
    )


def _reaction_changed(body: Json, event: Json) -> ReactionChanged | None:
    item, name = get_object(event, "item"), get_text(event, "reaction").partition("::")[0]
    if item.get("type") != "message" or name not in THUMBS_UP + THUMBS_DOWN:
        return None
    return ReactionChanged(
        installed_team(body),
        get_text(item, "channel"),
        get_text(event, "user"),
        get_text(event, "item_user"),
        get_text(item, "ts"),
        "up" if name in THUMBS_UP else "down",
        event.get("type") == "reaction_added",
        _event_id(body),
        _is_external(body),
    )


def _block_action(body: Json) -> BlockAction | None:
    action = next(iter(get_objects(body, "actions")), None)
    if action is None:
        return None
    user, container = get_object(body, "user"), get_object(body, "container")
    return BlockAction(
        team=installed_team(body),
        user=get_text(user, "id"),
        user_team=get_text(user, "team_id"),
        action_id=get_text(action, "action_id"),
        value=get_text(action, "value"),
        interaction_id=get_text(body, "trigger_id") or get_text(action, "action_ts"),
        channel=get_text(get_object(body, "channel"), "id") or get_text(container, "channel_id"),
        message_ts=get_text(get_object(body, "message"), "ts") or get_text(container, "message_ts"),
        response_url=get_text(body, "response_url"),
    )


def _message_shortcut(body: Json) -> MessageShortcut:
    channel, user = get_object(body, "channel"), get_object(body, "user")
    message = _message_posted(body, {"channel": channel.get("id")}, get_object(body, "message"))
    kind = place_kind(message.channel, name=get_text(channel, "name"))
    return MessageShortcut(
        message=replace(message, kind=kind),
        user=get_text(user, "id"),
        user_team=get_text(user, "team_id"),
        callback_id=get_text(body, "callback_id"),
        interaction_id=get_text(body, "trigger_id"),
        response_url=get_text(body, "response_url"),
    )


def _slash_command(body: Json) -> SlashCommand:
    channel, name = get_text(body, "channel_id"), get_text(body, "channel_name")
    return SlashCommand(
        team=get_text(body, "team_id"),
        user=get_text(body, "user_id"),
        channel=channel,
        kind="private" if name == "directmessage" else place_kind(channel, name=name),
        text=get_text(body, "text").strip(),
        interaction_id=get_text(body, "trigger_id"),
        response_url=get_text(body, "response_url"),
    )


def _event_id(body: Json) -> str:
    """The event's id, with the platform's prefix; "" if there is none, so that nothing counts as its duplicate."""
    event_id = get_text(body, "event_id")
    return f"slack:{event_id}" if event_id else ""


def _is_external(body: Json) -> bool:
    """Whether people from other workspaces may be there."""
    return bool(body.get("is_ext_shared_channel"))
