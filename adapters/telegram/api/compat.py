"""Compatibility with Bot API servers that are older or newer than the SDK, or leave out fields.

The SDK refuses a whole update for one part that it knows otherwise
(https://core.telegram.org/bots/api-changelog), and with it the message of a person. So missing fields are
filled in, and parts that cannot be read are dropped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from telegram import Bot, Message, Update

log = structlog.get_logger("keepthread.telegram")

Raw = dict[str, Any]

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
"""Errors that the SDK raises for a field that is not as it expects."""

_MESSAGES = ("message", "edited_message")
_WITHIN = ("reply_to_message", "pinned_message")
_DEFAULTS: Mapping[str, Raw] = {
    "callback_query": {"chat_instance": ""},
    "message_reaction": {"date": 0, "old_reaction": []},
}
_FILE_DEFAULTS: Raw = {"duration": 0, "width": 0, "height": 0}
_RESULT_DEFAULTS: Mapping[str, Raw] = {
    "getFile": {"file_unique_id": ""},
    "getWebhookInfo": {"url": "", "has_custom_certificate": False, "pending_update_count": 0},
}
_RETURNS_MESSAGE = frozenset(
    {"sendMessage", "sendDocument", "editMessageText", "editMessageReplyMarkup"}
)


def parse_update(raw: Raw, bot: Bot) -> Update:
    """Parse an update; if need be, without the parts of its messages that cannot be read.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: nothing of it can be read.
    """
    try:
        return Update.de_json(raw, bot)
    except UNREADABLE as error:
        log.warning(
            "update not as the SDK expects",
            update_id=raw.get("update_id"),
            error=repr(error),
        )
        return Update.de_json({name: _readable(name, part) for name, part in raw.items()}, bot)


def complete_result(endpoint: str, data: Mapping[str, Any], result: Any) -> Any:
    """The result of a method with missing fields filled in. Of a sent message only the id is kept and used."""
    if not isinstance(result, dict):
        return result
    if endpoint in _RETURNS_MESSAGE and "message_id" in result:
        chat = {"id": int(data["chat_id"]), "type": "private"}
        return {"message_id": result["message_id"], "date": int(time.time()), "chat": chat}
    return {**_RESULT_DEFAULTS.get(endpoint, {}), **result}


def _readable(name: str, part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if name in _MESSAGES:
        return _message(part)
    part = {**_DEFAULTS.get(name, {}), **part}
    if name == "callback_query":
        part["from"] = _user(part["from"])
        if "message" in part:
            part["message"] = _message(part["message"])
    return part


def _message(raw: Raw) -> Raw:
    """`raw` without the parts that cannot be read; `unreadable` names them."""
    chat = {"type": "private" if raw["chat"]["id"] > 0 else "supergroup", **raw["chat"]}
    required = {"message_id": raw["message_id"], "date": int(raw.get("date", time.time()))}
    required["chat"] = chat
    kept, unreadable = dict(required), []
    for name, part in raw.items():
        if name in required:
            continue
        try:
            part = complete_part(name, part)
            Message.de_json({**required, name: part}, None)
        except UNREADABLE:
            unreadable.append(name)
        else:
            kept[name] = part
    return {**kept, "unreadable": unreadable} if unreadable else kept


def complete_part(name: str, part: Any) -> Any:
    """A part of a message with the fields filled in that the SDK needs and servers leave out."""
    if name == "from":
        return _user(part)
    if name in _WITHIN and isinstance(part, dict):
        return _message(part)
    if isinstance(part, list):  # the sizes of a picture
        return [complete_part("", size) for size in part]
    if isinstance(part, dict) and "file_id" in part:
        return {"file_unique_id": part["file_id"], **_FILE_DEFAULTS, **part}
    return part


def _user(raw: Raw) -> Raw:
    return {"is_bot": False, "first_name": "", **raw}
