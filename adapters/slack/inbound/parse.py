"""From Slack's payloads to what happened, in our words. Pure: no call, no clock, no setting.

Shapes: https://docs.slack.dev/reference/events and https://docs.slack.dev/reference/interaction-payloads
"""

from __future__ import annotations

from dataclasses import replace

from adapters.slack.action_ids import PLATFORM, read_button
from adapters.slack.api.attachments import attachment_of, quoted
from adapters.slack.api.payload import Json, part, parts, text
from adapters.slack.inbound.events import (
    AgentStopped,
    AgentThreadOpened,
    Deleted,
    Edited,
    Happened,
    HomeOpened,
    Pressed,
    Reacted,
    Removed,
    Said,
    Shortcut,
    Slashed,
)
from bot.conversation import PlaceKind

SPOKEN_SUBTYPES = ("", "file_share", "thread_broadcast", "me_message")
"""Subtypes of message events in which a person says something."""

UP, DOWN = ("+1", "thumbsup"), ("-1", "thumbsdown")


def parse(body: Json) -> Happened | None:
    """What the payload says, or None if it is nothing for us. Raises nothing, whatever it holds."""
    if body.get("type") == "event_callback":
        return _event(body, part(body, "event"))
    if body.get("type") == "block_actions":
        return _pressed(body)
    if body.get("type") == "message_action":
        return _shortcut(body)
    if body.get("command"):
        return _slashed(body)
    return None


def installed_team(body: Json) -> str:
    """The workspace whose installation of the app was meant; not always the speaker's.

    A button knows it: Slack tells the workspace of whoever pressed it, which in a shared channel is another.
    """
    for action in parts(body, "actions"):
        carried = read_button(text(action, "value"))
        if carried and carried[0].platform == PLATFORM:
            return carried[0].account
    for authorization in parts(body, "authorizations"):
        if team := text(authorization, "team_id"):
            return team
    return (
        text(body, "team_id")
        or text(part(body, "team"), "id")
        or text(part(body, "user"), "team_id")
    )


def place_kind(channel: str, channel_type: str = "", name: str = "") -> PlaceKind:
    """What sort of place a channel is. Ids of direct messages begin with D."""
    if channel_type == "im" or channel.startswith("D"):
        return "private"
    if channel_type == "mpim" or name.startswith("mpdm-"):
        return "group"
    return "channel"


def _event(body: Json, event: Json) -> Happened | None:
    team, kind = installed_team(body), text(event, "type")
    user, channel = text(event, "user"), text(event, "channel")
    if kind in ("message", "app_mention"):
        return _message(body, event)
    if kind in ("reaction_added", "reaction_removed"):
        return _reacted(body, event)
    if kind == "app_home_opened":
        return HomeOpened(team, user, text(event, "tab") or "home", channel)
    if kind == "assistant_thread_started":
        thread = part(event, "assistant_thread")
        return AgentThreadOpened(
            team, *(text(thread, name) for name in ("user_id", "channel_id", "thread_ts"))
        )
    if kind == "agent_session_stopped":
        who = user or text(event, "user_id")
        return AgentStopped(team, who, channel, text(event, "thread_ts"), _is_external(body))
    if kind == "app_uninstalled":
        return Removed(team, text(body, "enterprise_id"))
    if kind == "tokens_revoked":
        revoked = bool(part(event, "tokens").get("bot"))
        return Removed(team, text(body, "enterprise_id"), revoked)
    return None


def _message(body: Json, event: Json) -> Said | Edited | Deleted | None:
    subtype = text(event, "subtype")
    if subtype in SPOKEN_SUBTYPES:
        return _said(body, event, event)
    if subtype == "message_changed":
        now, before = part(event, "message"), part(event, "previous_message")
        said = _said(body, event, now)
        if now.get("subtype") == "tombstone":  # deleted, with replies below it
            return Deleted(replace(said, user=text(before, "user") or said.user))
        same = before and before.get("text") == now.get("text")
        if same or text(now, "subtype") not in SPOKEN_SUBTYPES:
            return None  # a link was unfurled, a reply counted
        return Edited(said, text(part(now, "edited"), "ts") or text(event, "ts"))
    if subtype == "message_deleted":
        before = dict(part(event, "previous_message"))
        before.setdefault("ts", event.get("deleted_ts"))
        return Deleted(_said(body, event, before))
    return None


def _said(body: Json, event: Json, message: Json) -> Said:
    channel = text(event, "channel")
    thread = part(message, "assistant_thread") or part(event, "assistant_thread")
    return Said(
        team=installed_team(body),
        channel=channel,
        kind=place_kind(channel, text(event, "channel_type")),
        user=text(message, "user"),
        ts=text(message, "ts"),
        text=text(message, "text"),
        thread_ts=text(message, "thread_ts"),
        user_team=text(message, "user_team") or text(message, "team"),
        event_id=_event_id(body),
        files=tuple(attachment_of(file) for file in parts(message, "files")),
        quoted=quoted(message),
        by_bot=bool(message.get("bot_id") or message.get("bot_profile")),
        external=_is_external(body),
        in_agent_thread=bool(thread),
        mentions_bot=event.get("type") == "app_mention",
    )


def _reacted(body: Json, event: Json) -> Reacted | None:
    item, name = part(event, "item"), text(event, "reaction").partition("::")[0]
    if item.get("type") != "message" or name not in UP + DOWN:
        return None
    return Reacted(
        installed_team(body),
        text(item, "channel"),
        text(event, "user"),
        text(event, "item_user"),
        text(item, "ts"),
        "up" if name in UP else "down",
        event.get("type") == "reaction_added",
        _event_id(body),
        _is_external(body),
    )


def _pressed(body: Json) -> Pressed | None:
    action = next(iter(parts(body, "actions")), None)
    if action is None:
        return None
    user, container = part(body, "user"), part(body, "container")
    return Pressed(
        team=installed_team(body),
        user=text(user, "id"),
        user_team=text(user, "team_id"),
        action=text(action, "action_id"),
        value=text(action, "value"),
        press_id=text(body, "trigger_id") or text(action, "action_ts"),
        channel=text(part(body, "channel"), "id") or text(container, "channel_id"),
        message_ts=text(part(body, "message"), "ts") or text(container, "message_ts"),
        response_url=text(body, "response_url"),
    )


def _shortcut(body: Json) -> Shortcut:
    channel, user = part(body, "channel"), part(body, "user")
    said = _said(body, {"channel": channel.get("id")}, part(body, "message"))
    kind = place_kind(said.channel, name=text(channel, "name"))
    return Shortcut(
        said=replace(said, kind=kind),
        user=text(user, "id"),
        user_team=text(user, "team_id"),
        callback=text(body, "callback_id"),
        press_id=text(body, "trigger_id"),
        response_url=text(body, "response_url"),
    )


def _slashed(body: Json) -> Slashed:
    channel, name = text(body, "channel_id"), text(body, "channel_name")
    return Slashed(
        team=text(body, "team_id"),
        user=text(body, "user_id"),
        channel=channel,
        kind="private" if name == "directmessage" else place_kind(channel, name=name),
        text=text(body, "text").strip(),
        press_id=text(body, "trigger_id"),
        response_url=text(body, "response_url"),
    )


def _event_id(body: Json) -> str:
    """Unlike that of any other platform; `""` if Slack gave none, so that nothing is taken for its repetition."""
    event_id = text(body, "event_id")
    return f"slack:{event_id}" if event_id else ""


def _is_external(body: Json) -> bool:
    """Whether people from other workspaces may be there."""
    return bool(body.get("is_ext_shared_channel"))
