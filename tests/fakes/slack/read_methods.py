"""Web API methods that read, and those about people, statuses, files and installations."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from tests.fakes.slack.workspace_state import Channel, Json, Message, SlackRefusal

if TYPE_CHECKING:
    from tests.fakes.slack.server import Caller, SlackServer


def auth_test(slack: SlackServer, caller: Caller, args: Json) -> Json:
    return {
        "url": f"https://{caller.team_id.lower()}.slack.test/",
        "team": caller.team_name,
        "team_id": caller.team_id,
        "user": "keepthread",
        "user_id": caller.bot_user,
        "bot_id": caller.bot_id,
        "is_enterprise_install": False,
    }


def bots_info(slack: SlackServer, caller: Caller, args: Json) -> Json:
    if args.get("bot") != caller.bot_id:
        raise SlackRefusal("bot_not_found")
    return {"bot": {"id": caller.bot_id, "app_id": caller.app_id, "user_id": caller.bot_user}}


def users_info(slack: SlackServer, caller: Caller, args: Json) -> Json:
    user = slack.space.people.get(str(args.get("user")))
    if user is None:
        raise SlackRefusal("user_not_found")
    return {"user": user}


def users_conversations(slack: SlackServer, caller: Caller, args: Json) -> Json:
    """Channels that a person and the bot are both in."""
    user, types = str(args.get("user") or ""), str(args.get("types") or "public_channel")
    wanted = {"channel": "public_channel", "group": "mpim", "private": "im"}
    found = [
        _channel_json(channel)
        for channel in slack.space.channels.values()
        if channel.has_bot and user in channel.members and wanted[channel.kind] in types.split(",")
    ]
    start, limit = int(args.get("cursor") or 0), int(args.get("limit") or 100)
    more = start + limit < len(found)
    return {
        "channels": found[start : start + limit],
        "response_metadata": {"next_cursor": str(start + limit) if more else ""},
    }


def replies(slack: SlackServer, caller: Caller, args: Json) -> Json:
    """A thread, oldest first; each page begins with the root."""
    channel = _readable(slack, args)
    ts = str(args.get("ts") or "")
    asked = channel.find(ts)
    if asked is not None and asked.thread_ts and asked.thread_ts != ts:
        return _page(slack, args, [asked])  # a reply's own time stamp finds the reply
    root = [asked] if asked is not None else []
    thread = [message for message in _open(channel) if message.thread_ts == ts and message.ts != ts]
    if not root and not thread:
        raise SlackRefusal("thread_not_found")
    return _page(slack, args, thread, always=root)


def history(slack: SlackServer, caller: Caller, args: Json) -> Json:
    """Top-level messages, newest first."""
    channel = _readable(slack, args)
    top = [message for message in _open(channel) if message.thread_ts in ("", message.ts)]
    return _page(slack, args, top[::-1])


def conversations_info(slack: SlackServer, caller: Caller, args: Json) -> Json:
    return {"channel": _channel_json(slack.space.channel(str(args.get("channel") or "")))}


def usergroups_list(slack: SlackServer, caller: Caller, args: Json) -> Json:
    groups = slack.space.user_groups.items()
    return {"usergroups": [{"id": id_, "handle": handle} for id_, handle in groups]}


def conversations_open(slack: SlackServer, caller: Caller, args: Json) -> Json:
    users = {user for user in str(args.get("users") or "").split(",") if user}
    if not users:
        raise SlackRefusal("no_users")
    if not all(user in slack.space.people for user in users):
        raise SlackRefusal("user_not_found")
    wanted = "private" if len(users) == 1 else "group"
    for channel in slack.space.channels.values():
        if channel.kind == wanted and channel.members == users:
            return {"channel": _channel_json(channel), "already_open": True}
    letter = "D" if wanted == "private" else "G"
    channel = Channel(f"{letter}{uuid.uuid4().hex[:8].upper()}", wanted, "", users)  # type: ignore[arg-type]
    slack.space.channels[channel.id] = channel
    return {"channel": _channel_json(channel)}


def set_status(slack: SlackServer, caller: Caller, args: Json) -> Json:
    key = _thread_key(slack, args)
    words = args.get("loading_messages") or []
    if len(words) > 10:
        raise SlackRefusal("invalid_arguments", why="more than 10 loading messages")
    entry = (time.monotonic(), str(args.get("status") or ""), list(words))
    slack.space.statuses.setdefault(key, []).append(entry)
    return {}


def set_title(slack: SlackServer, caller: Caller, args: Json) -> Json:
    slack.space.titles[_thread_key(slack, args)] = str(args.get("title") or "")
    return {}


def set_prompts(slack: SlackServer, caller: Caller, args: Json) -> Json:
    slack.space.channel(str(args.get("channel_id") or ""))
    prompts = args.get("prompts") or []
    if len(prompts) > 4:
        raise SlackRefusal("invalid_arguments", why="more than 4 prompts")
    key = (str(args["channel_id"]), str(args.get("thread_ts") or ""))
    slack.space.prompts[key] = prompts
    return {}


def set_session_status(slack: SlackServer, caller: Caller, args: Json) -> Json:
    if not slack.is_agent:
        raise SlackRefusal("not_allowed_token_type", why="the app is not declared as an agent")
    status = args.get("status")
    if status not in ("active", "processing", "suspended", "closed"):
        raise SlackRefusal("invalid_arguments", why="status")
    slack.space.sessions.setdefault(_thread_key(slack, args), []).append(status)
    if not slack.subscribes_stop:
        return {
            "status": status,
            "warning": "missing_agent_session_stopped_event_subscription",
            "response_metadata": {"warnings": ["missing_agent_session_stopped_event_subscription"]},
        }
    return {"status": status}


def publish(slack: SlackServer, caller: Caller, args: Json) -> Json:
    view = args.get("view")
    if not isinstance(view, dict) or view.get("type") != "home":
        raise SlackRefusal("invalid_arguments", why="view")
    slack.space.homes[str(args.get("user_id"))] = view
    return {"view": {**view, "id": f"V{uuid.uuid4().hex[:8]}"}}


def react(slack: SlackServer, caller: Caller, args: Json) -> Json:
    message = slack.space.channel(str(args.get("channel"))).find(str(args.get("timestamp")))
    if message is None:
        raise SlackRefusal("message_not_found")
    message.reactions.append((caller.bot_user, str(args.get("name"))))
    return {}


def files_info(slack: SlackServer, caller: Caller, args: Json) -> Json:
    found = slack.space.files.get(str(args.get("file")))
    if found is None:
        raise SlackRefusal("file_not_found")
    return {"file": found[0]}


def upload_url(slack: SlackServer, caller: Caller, args: Json) -> Json:
    file_id = f"F{uuid.uuid4().hex[:8].upper()}"
    if int(args.get("length") or 0) <= 0:
        raise SlackRefusal("invalid_arguments", why="length")
    slack.uploads[file_id] = str(args.get("filename") or "")
    return {"file_id": file_id, "upload_url": f"{slack.url}/upload/{file_id}"}


def complete_upload(slack: SlackServer, caller: Caller, args: Json) -> Json:
    described = []
    for file in args.get("files") or ():
        if file["id"] not in slack.space.files:
            raise SlackRefusal("file_not_found")
        described.append(slack.space.files[file["id"]][0])
    channel_id = str(args.get("channel_id") or "")
    if channel_id:
        channel = slack.space.channel(channel_id)
        if not channel.has_bot:
            raise SlackRefusal("not_in_channel")
        for file in described:
            file["channels"] = [channel_id]
        comment = str(args.get("initial_comment") or "")
        thread_ts = str(args.get("thread_ts") or "")
        slack.space.add_message(
            Message(
                slack.space.new_ts(),
                channel_id,
                caller.bot_user,
                comment,
                comment,
                thread_ts=thread_ts if channel.has_thread(thread_ts) else "",
                bot_id=caller.bot_id,
                app_id=caller.app_id,
                files=described,
            )
        )
    return {"files": described}


def _readable(slack: SlackServer, args: Json) -> Channel:
    channel = slack.space.channel(str(args.get("channel") or ""))
    if not channel.has_bot:
        raise SlackRefusal("not_in_channel")
    return channel


def _open(channel: Channel) -> list[Message]:
    return [
        message for message in channel.messages if not message.deleted and not message.visible_to
    ]


def _page(
    slack: SlackServer, args: Json, messages: list[Message], always: list[Message] | None = None
) -> Json:
    inclusive = str(args.get("inclusive", "0")).lower() in ("1", "true")
    oldest, latest = _stamp(args.get("oldest")), _stamp(args.get("latest"))

    def fits(message: Message) -> bool:
        at = float(message.ts)
        too_old = oldest is not None and (at < oldest or (at == oldest and not inclusive))
        too_new = latest is not None and (at > latest or (at == latest and not inclusive))
        return not too_old and not too_new

    fitting = [message for message in messages if fits(message)]
    most = 15 if slack.distributed else 1000
    limit = min(int(args.get("limit") or 100), most)
    start = int(args.get("cursor") or 0)
    page = fitting[start : start + limit]
    more = start + limit < len(fitting)
    with_metadata = str(args.get("include_all_metadata", "0")).lower() in ("1", "true")
    return {
        "messages": [
            message.to_json(with_metadata=with_metadata) for message in (always or []) + page
        ],
        "has_more": more,
        "response_metadata": {"next_cursor": str(start + limit) if more else ""},
    }


def _stamp(value: object) -> float | None:
    return float(str(value)) if value not in (None, "", "0") else None


def _thread_key(slack: SlackServer, args: Json) -> tuple[str, str]:
    channel = slack.space.channel(str(args.get("channel_id") or ""))
    if not args.get("thread_ts"):
        raise SlackRefusal("invalid_arguments", why="thread_ts")
    return channel.id, str(args["thread_ts"])


def _channel_json(channel: Channel) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_im": channel.kind == "private",
        "is_mpim": channel.kind == "group",
        "is_channel": channel.kind == "channel",
        "is_archived": channel.archived,
        "is_member": channel.has_bot,
    }
