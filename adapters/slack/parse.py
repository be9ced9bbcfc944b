"""From Slack's payloads to what happened, in our words. Pure: no call, no clock, no setting.

Shapes: https://docs.slack.dev/reference/events and https://docs.slack.dev/reference/interaction-payloads
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.slack.actions import PLATFORM, read_button
from adapters.slack.files import attachment_of, quoted
from adapters.slack.happened import (
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

Json = Mapping[str, Any]

SPOKEN_SUBTYPES = ("", "file_share", "thread_broadcast", "me_message")
"""Subtypes of message events in which a person says something."""

UP, DOWN = ("+1", "thumbsup"), ("-1", "thumbsdown")


def parse(body: Json) -> Happened | None:
    """What the payload says, or None if it is nothing for us."""
    if body.get("type") == "event_callback":
        return _event(body, _of(body, "event"))
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
    for action in body.get("actions") or ():
        carried = read_button(str(action.get("value") or ""))
        if carried and carried[0].platform == PLATFORM:
            return carried[0].account
    for authorization in body.get("authorizations") or ():
        if authorization.get("team_id"):
            return str(authorization["team_id"])
    team = body.get("team_id") or _of(body, "team").get("id") or ""
    return str(team or _of(body, "user").get("team_id") or "")


def place_kind(channel: str, channel_type: str = "", name: str = "") -> PlaceKind:
    """What sort of place a channel is. Ids of direct messages begin with D."""
    if channel_type == "im" or channel.startswith("D"):
        return "private"
    if channel_type == "mpim" or name.startswith("mpdm-"):
        return "group"
    return "channel"


def _event(body: Json, event: Json) -> Happened | None:
    team, kind = installed_team(body), str(event.get("type", ""))
    user, channel = str(event.get("user") or ""), str(event.get("channel") or "")
    if kind in ("message", "app_mention"):
        return _message(body, event)
    if kind in ("reaction_added", "reaction_removed"):
        return _reacted(body, event)
    if kind == "app_home_opened":
        return HomeOpened(team, user, str(event.get("tab") or "home"), channel)
    if kind == "assistant_thread_started":
        thread = _of(event, "assistant_thread")
        return AgentThreadOpened(
            team, *(str(thread.get(key) or "") for key in ("user_id", "channel_id", "thread_ts"))
        )
    if kind == "agent_session_stopped":
        thread_ts = str(event.get("thread_ts") or "")
        return AgentStopped(team, user or str(event.get("user_id") or ""), channel, thread_ts)
    if kind == "app_uninstalled":
        return Removed(team, str(body.get("enterprise_id") or ""))
    if kind == "tokens_revoked":
        revoked = bool(_of(event, "tokens").get("bot"))
        return Removed(team, str(body.get("enterprise_id") or ""), revoked)
    return None


def _message(body: Json, event: Json) -> Said | Edited | Deleted | None:
    subtype = str(event.get("subtype") or "")
    if subtype in SPOKEN_SUBTYPES:
        return _said(body, event, event)
    if subtype == "message_changed":
        now, before = _of(event, "message"), _of(event, "previous_message")
        said = _said(body, event, now)
        if now.get("subtype") == "tombstone":  # deleted, with replies below it
            return Deleted(replace(said, user=str(before.get("user") or said.user)))
        same = before and before.get("text") == now.get("text")
        if same or str(now.get("subtype") or "") not in SPOKEN_SUBTYPES:
            return None  # a link was unfurled, a reply counted
        stamp = str(_of(now, "edited").get("ts") or event.get("ts") or "")
        return Edited(said, stamp)
    if subtype == "message_deleted":
        before = dict(_of(event, "previous_message"))
        before.setdefault("ts", event.get("deleted_ts"))
        return Deleted(_said(body, event, before))
    return None


def _said(body: Json, event: Json, message: Json) -> Said:
    channel = str(event.get("channel") or "")
    thread = _of(message, "assistant_thread") or _of(event, "assistant_thread")
    return Said(
        team=installed_team(body),
        channel=channel,
        kind=place_kind(channel, str(event.get("channel_type") or "")),
        user=str(message.get("user") or ""),
        ts=str(message.get("ts") or ""),
        text=str(message.get("text") or ""),
        thread_ts=str(message.get("thread_ts") or ""),
        user_team=str(message.get("user_team") or message.get("team") or ""),
        event_id=f"slack:{body.get('event_id') or ''}",
        files=tuple(attachment_of(file) for file in message.get("files") or ()),
        quoted=quoted(message),
        by_bot=bool(message.get("bot_id") or message.get("bot_profile")),
        external=bool(body.get("is_ext_shared_channel")),
        in_agent_thread=bool(thread),
        action_token=str(thread.get("action_token") or ""),
    )


def _reacted(body: Json, event: Json) -> Reacted | None:
    item, name = _of(event, "item"), str(event.get("reaction") or "").partition("::")[0]
    if item.get("type") != "message" or name not in UP + DOWN:
        return None
    return Reacted(
        installed_team(body),
        str(item.get("channel") or ""),
        str(event.get("user") or ""),
        str(event.get("item_user") or ""),
        str(item.get("ts") or ""),
        "up" if name in UP else "down",
        event.get("type") == "reaction_added",
        f"slack:{body.get('event_id') or ''}",
    )


def _pressed(body: Json) -> Pressed | None:
    action = next(iter(body.get("actions") or ()), None)
    if not action:
        return None
    user, container = _of(body, "user"), _of(body, "container")
    return Pressed(
        team=installed_team(body),
        user=str(user.get("id") or ""),
        user_team=str(user.get("team_id") or ""),
        action=str(action.get("action_id") or ""),
        value=str(action.get("value") or ""),
        press_id=str(body.get("trigger_id") or action.get("action_ts") or ""),
        channel=str(_of(body, "channel").get("id") or container.get("channel_id") or ""),
        message_ts=str(_of(body, "message").get("ts") or container.get("message_ts") or ""),
        response_url=str(body.get("response_url") or ""),
    )


def _shortcut(body: Json) -> Shortcut:
    channel, user = _of(body, "channel"), _of(body, "user")
    said = _said(body, {"channel": channel.get("id")}, _of(body, "message"))
    kind = place_kind(said.channel, name=str(channel.get("name") or ""))
    return Shortcut(
        said=replace(said, kind=kind),
        user=str(user.get("id") or ""),
        user_team=str(user.get("team_id") or ""),
        callback=str(body.get("callback_id") or ""),
        press_id=str(body.get("trigger_id") or ""),
        response_url=str(body.get("response_url") or ""),
    )


def _slashed(body: Json) -> Slashed:
    channel, name = str(body.get("channel_id") or ""), str(body.get("channel_name") or "")
    return Slashed(
        team=str(body.get("team_id") or ""),
        user=str(body.get("user_id") or ""),
        channel=channel,
        kind="private" if name == "directmessage" else place_kind(channel, name=name),
        text=str(body.get("text") or "").strip(),
        press_id=str(body.get("trigger_id") or ""),
        response_url=str(body.get("response_url") or ""),
    )


def _of(data: Json, key: str) -> Json:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}
