"""App manifest: exactly the scopes, events, shortcuts and the command that the code uses.

Reference: https://docs.slack.dev/reference/app-manifest
"""

from __future__ import annotations

import json
from typing import Any

from adapters.slack import action_ids

EVENTS_PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"

PROMPTS = (
    ("What can you do?", "What can you help me with, and what do you remember of me?"),
    ("Sum up a text", "Please sum up the text that I paste next, in five points."),
    ("Draft a message", "Help me to write a message to my team. Ask me what it is about."),
)
"""Suggested prompts: title and message. Slack shows four at most."""

EVENTS: dict[str, tuple[str, ...]] = {
    "agent_session_stopped": ("assistant:write",),
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "app_uninstalled": (),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "tokens_revoked": (),
}
"""Subscribed events, and the scopes they need. (`assistant_thread_started` comes too, to apps
declared with the older `assistant_view`.)"""

METHODS: dict[str, tuple[str, ...]] = {
    "agents.sessions.setStatus": ("chat:write",),
    "apps.connections.open": (),  # with the app-level token's connections:write
    "assistant.threads.setStatus": ("chat:write",),
    "assistant.threads.setSuggestedPrompts": ("assistant:write",),
    "assistant.threads.setTitle": ("assistant:write",),
    "auth.test": (),
    "bots.info": ("users:read",),
    "chat.appendStream": ("chat:write",),
    "chat.delete": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "chat.postMessage": ("chat:write",),
    "chat.startStream": ("chat:write",),
    "chat.stopStream": ("chat:write",),
    "chat.update": ("chat:write",),
    "conversations.history": (
        "channels:history",
        "groups:history",
        "im:history",
        "mpim:history",
    ),
    "conversations.info": ("channels:read", "groups:read", "mpim:read"),
    "conversations.open": ("im:write",),
    "conversations.replies": (
        "channels:history",
        "groups:history",
        "im:history",
        "mpim:history",
    ),
    "files.completeUploadExternal": ("files:write",),
    "files.getUploadURLExternal": ("files:write",),
    "files.info": ("files:read",),
    "oauth.v2.access": (),
    "usergroups.list": ("usergroups:read",),
    "users.conversations": ("channels:read", "groups:read", "mpim:read"),
    "users.info": ("users:read",),
    "views.publish": (),
}
"""Web API methods that are called, and the bot scopes they need."""

FEATURES = {"slash command and shortcuts": ("commands",), "downloads of files": ("files:read",)}

SCOPES: tuple[str, ...] = tuple(
    sorted(
        {
            scope
            for needs in (EVENTS, METHODS, FEATURES)
            for scopes in needs.values()
            for scope in scopes
        }
    )
)
"""Bot scopes of events, methods and features."""

ESSENTIAL = ("app_mentions:read", "channels:history", "chat:write", "im:history", "users:read")
"""Scopes without which the bot does not start; without another, single functions fail."""

SHORTCUTS = (
    (action_ids.RESET_SHORTCUT, "Reset this conversation", "Forget what was said in this thread"),
    (action_ids.FORGET_SHORTCUT, "Forget this message", "Remember this message no longer"),
)


OPTIONAL = ("usergroups:read",)
"""Scopes that only names depend on: without them user groups keep their ids."""

EXPECTED = tuple(scope for scope in SCOPES if scope not in OPTIONAL)


def missing(scopes: tuple[str, ...], wanted: tuple[str, ...] = EXPECTED) -> tuple[str, ...]:
    """Scopes of `wanted` that a token lacks; none where Slack does not list the token's scopes."""
    return tuple(scope for scope in wanted if scope not in scopes) if scopes else ()


def manifest(name: str = "Keepthread", base_url: str = "") -> dict[str, Any]:
    """The manifest, for Socket Mode, or for HTTP at `base_url` (`https://bot.example.com`)."""
    base = base_url.rstrip("/")
    request_url = {"request_url": base + EVENTS_PATH} if base else {}
    command_url = {"url": base + EVENTS_PATH} if base else {}
    oauth: dict[str, Any] = {"scopes": {"bot": list(SCOPES)}}
    if base:
        oauth["redirect_urls"] = [base + REDIRECT_PATH]
    return {
        "_metadata": {"major_version": 2},
        "display_information": {
            "name": name,
            "description": "Talks in threads, and keeps the thread.",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "agent_view": {
                "agent_description": "Answers in threads and direct messages, and remembers them.",
                "suggested_prompts": [
                    {"title": title, "message": message} for title, message in PROMPTS
                ],
            },
            "shortcuts": [
                {"name": title, "type": "message", "callback_id": id_, "description": text}
                for id_, title, text in SHORTCUTS
            ],
            "slash_commands": [
                {
                    "command": action_ids.SLASH_COMMAND,
                    "description": "Reset, export or look at a conversation",
                    "usage_hint": "help",
                    "should_escape": False,
                    **command_url,
                }
            ],
        },
        "oauth_config": oauth,
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS), **request_url},
            "interactivity": {"is_enabled": True, **request_url},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not base,
            "token_rotation_enabled": False,
        },
    }


def as_yaml(data: Any, indent: int = 0) -> str:
    """`data` as YAML, for pasting. Strings are quoted as in JSON, which YAML 1.2 contains."""
    pad = "  " * indent
    if isinstance(data, dict):
        return "".join(f"{pad}{key}:{_value(value, indent)}" for key, value in data.items())
    lines = []
    for item in data:
        if isinstance(item, dict):
            inner = as_yaml(item, indent + 1)
            lines.append(f"{pad}- {inner[len(pad) + 2 :]}")
        else:
            lines.append(f"{pad}- {_scalar(item)}\n")
    return "".join(lines)


def _value(value: Any, indent: int) -> str:
    if isinstance(value, dict | list) and value:
        return "\n" + as_yaml(value, indent + 1)
    return f" {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
