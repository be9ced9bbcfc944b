"""The methods of the loopback Bot API, one function each. Format: https://core.telegram.org/bots/api#available-methods"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tests.fakes.telegram.chats import bad, checked_text

if TYPE_CHECKING:
    from tests.fakes.telegram.server import TelegramServer

Method = Callable[["TelegramServer", dict[str, Any]], Awaitable[Any]]


async def _get_me(server: TelegramServer, _: dict[str, Any]) -> Any:
    return server.me()


async def _get_updates(server: TelegramServer, p: dict[str, Any]) -> Any:
    return await server.take_updates(p)


async def _set_webhook(server: TelegramServer, p: dict[str, Any]) -> Any:
    return server.set_webhook(p)


async def _delete_webhook(server: TelegramServer, p: dict[str, Any]) -> Any:
    server.webhook = {}
    if p.get("drop_pending_updates"):
        server.updates.clear()
    return True


async def _webhook_info(server: TelegramServer, _: dict[str, Any]) -> Any:
    return {
        "url": server.webhook.get("url", ""),
        "has_custom_certificate": False,
        "pending_update_count": len(server.updates),
        "last_error_message": server.webhook.get("last_error_message", ""),
    }


async def _send_message(server: TelegramServer, p: dict[str, Any]) -> Any:
    return server.post(p, str(p.get("text", "")))


async def _send_document(server: TelegramServer, p: dict[str, Any]) -> Any:
    document = p["document"]
    if isinstance(document, str):  # attach://name
        document = p[document.removeprefix("attach://")]
    return server.post(p, str(p.get("caption", "")), document)


async def _send_draft(server: TelegramServer, p: dict[str, Any]) -> Any:
    chat = server.room(p)
    if chat.type != "private":
        raise bad("TEXTDRAFT_PEER_INVALID")
    if not int(p.get("draft_id", 0)):
        raise bad("TEXTDRAFT_ID_INVALID")
    text = str(p.get("text", ""))
    if text:
        text = checked_text(text, server.counted(p.get("entities", [])))
    if time.monotonic() < chat.closed_until:
        server.flood.check(chat)
    chat.drafts[chat.thread_of(p)] = {**p, "draft_id": int(p["draft_id"])}
    chat.drafts_shown.append(text)
    return True


async def _send_action(server: TelegramServer, p: dict[str, Any]) -> Any:
    chat = server.room(p)
    if chat.direct_topics:
        raise bad("chat action can't be sent to channel direct messages chats")
    thread = chat.thread_of(p)
    if time.monotonic() < chat.closed_until:
        server.flood.check(chat)
    chat.actions.append((p["action"], thread))
    return True


async def _edit_text(server: TelegramServer, p: dict[str, Any]) -> Any:
    return server.change(p, text=str(p.get("text", "")))


async def _edit_buttons(server: TelegramServer, p: dict[str, Any]) -> Any:
    return server.change(p, text=None)


async def _delete_message(server: TelegramServer, p: dict[str, Any]) -> Any:
    if server.room(p).messages.pop(int(p["message_id"]), None) is None:
        raise bad("message to delete not found")
    return True


async def _set_reaction(server: TelegramServer, p: dict[str, Any]) -> Any:
    chat = server.room(p)
    if int(p["message_id"]) not in chat.messages:
        raise bad("message to react not found")
    chat.reactions[int(p["message_id"])] = p.get("reaction", [])
    return True


async def _set_commands(server: TelegramServer, p: dict[str, Any]) -> Any:
    for command in p["commands"]:
        name, words = command["command"], command["description"]
        if not (1 <= len(name) <= 32 and name.replace("_", "a").isalnum() and name.islower()):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= len(words) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
    scope = p.get("scope", {"type": "default"})
    if scope["type"] == "chat" and int(scope["chat_id"]) not in server.chats:
        raise bad("chat not found")
    key = ":".join(str(part) for part in (*scope.values(), p.get("language_code", "")) if part)
    server.commands[key] = p["commands"]
    return True


async def _get_member(server: TelegramServer, p: dict[str, Any]) -> Any:
    status = server.room(p).members.get(int(p["user_id"]), "left")
    user = server.people.get(int(p["user_id"])) or {
        "id": int(p["user_id"]),
        "is_bot": False,
        "first_name": "?",
    }
    extra: dict[str, Any] = {}
    if status in ("administrator", "creator"):
        extra = defaultdict(bool)
        for right in (
            "can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats",
            "can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users",
            "can_post_stories", "can_edit_stories", "can_delete_stories",
        ):  # fmt: skip
            extra[right] = False
    return {"status": status, "user": user, **extra}


async def _get_file(server: TelegramServer, p: dict[str, Any]) -> Any:
    if p["file_id"] in server.local_files:  # a Bot API server of one's own, in local mode
        path = server.local_files[p["file_id"]]
        return {"file_id": p["file_id"], "file_unique_id": p["file_id"], "file_path": path}
    if p["file_id"] not in server.files:
        raise bad("invalid file_id")
    name, data = server.files[p["file_id"]]
    if len(data) > server.file_limit:
        raise bad("file is too big")
    return {
        "file_id": p["file_id"],
        "file_unique_id": p["file_id"],
        "file_size": len(data),
        "file_path": f"{p['file_id']}/{name}",
    }


async def _answer_query(server: TelegramServer, p: dict[str, Any]) -> Any:
    return server.answer_query(p)


METHODS: dict[str, Method] = {
    "getMe": _get_me,
    "getUpdates": _get_updates,
    "setWebhook": _set_webhook,
    "deleteWebhook": _delete_webhook,
    "getWebhookInfo": _webhook_info,
    "sendMessage": _send_message,
    "sendDocument": _send_document,
    "sendMessageDraft": _send_draft,
    "sendChatAction": _send_action,
    "editMessageText": _edit_text,
    "editMessageReplyMarkup": _edit_buttons,
    "deleteMessage": _delete_message,
    "setMessageReaction": _set_reaction,
    "setMyCommands": _set_commands,
    "getChatMember": _get_member,
    "getFile": _get_file,
    "answerCallbackQuery": _answer_query,
}
