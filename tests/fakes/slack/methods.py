"""Methods of the loopback Slack: implementation, scope and rate limit of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.fakes.slack import chat_methods, read_methods
from tests.fakes.slack.workspace_state import Json

if TYPE_CHECKING:
    from tests.fakes.slack.server import Caller, SlackServer

SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:write",
    "mpim:history",
    "mpim:read",
    "reactions:read",
    "usergroups:read",
    "users:read",
)

Method = Callable[["SlackServer", "Caller", Json], Json]

METHODS: dict[str, tuple[Method, str, int]] = {
    # the method, the scope it needs, calls a minute (https://docs.slack.dev/apis/web-api/rate-limits)
    "auth.test": (read_methods.auth_test, "", 600),
    "bots.info": (read_methods.bots_info, "users:read", 50),
    "users.conversations": (read_methods.users_conversations, "channels:read", 50),
    "users.info": (read_methods.users_info, "users:read", 100),
    "chat.postMessage": (chat_methods.post_message, "chat:write", 600),
    "chat.postEphemeral": (chat_methods.post_ephemeral, "chat:write", 100),
    "chat.update": (chat_methods.update, "chat:write", 50),
    "chat.delete": (chat_methods.delete, "chat:write", 50),
    "chat.startStream": (chat_methods.start_stream, "chat:write", 20),
    "chat.appendStream": (chat_methods.append_stream, "chat:write", 100),
    "chat.stopStream": (chat_methods.stop_stream, "chat:write", 20),
    "conversations.replies": (read_methods.replies, "channels:history", 50),
    "conversations.history": (read_methods.history, "channels:history", 50),
    "conversations.info": (read_methods.conversations_info, "channels:read", 50),
    "usergroups.list": (read_methods.usergroups_list, "usergroups:read", 20),
    "conversations.open": (read_methods.conversations_open, "im:write", 50),
    "assistant.threads.setStatus": (read_methods.set_status, "chat:write", 600),
    "assistant.threads.setTitle": (read_methods.set_title, "assistant:write", 50),
    "assistant.threads.setSuggestedPrompts": (read_methods.set_prompts, "assistant:write", 50),
    "agents.sessions.setStatus": (read_methods.set_session_status, "chat:write", 50),
    "views.publish": (read_methods.publish, "", 100),
    "reactions.add": (read_methods.react, "reactions:write", 50),
    "files.info": (read_methods.files_info, "files:read", 100),
    "files.getUploadURLExternal": (read_methods.upload_url, "files:write", 100),
    "files.completeUploadExternal": (read_methods.complete_upload, "files:write", 100),
}
