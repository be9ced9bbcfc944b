"""What comes over the wire, so that the SDK can read it.

The SDK refuses all of an update for one part that it knows otherwise. Servers are older or newer than it is
(https://core.telegram.org/bots/api-changelog), and one's own may leave out what it thinks nobody needs: then a
person who wrote would be lost. So the part is let go, and not the person.
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
"""What the SDK raises for something that is not as it expects."""

_MESSAGES = ("message", "edited_message")
_WITHIN = ("reply_to_message", "pinned_message")
_LEFT_OUT: Mapping[str, Raw] = {
    "callback_query": {"chat_instance": ""},
    "message_reaction": {"date": 0, "old_reaction": []},
}
_OF_FILES: Raw = {"duration": 0, "width": 0, "height": 0}
_OF_ANSWERS: Mapping[str, Raw] = {
    "getFile": {"file_unique_id": ""},
    "getWebhookInfo": {"url": "", "has_custom_certificate": False, "pending_update_count": 0},
}
_SAYS = frozenset({"sendMessage", "sendDocument", "editMessageText", "editMessageReplyMarkup"})


def parse_update(raw: Raw, bot: Bot) -> Update:
    """The update; if need be, without the parts of its messages that cannot be read.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: nothing of it can be read.
    """
    try:
        return Update.de_json(raw, bot)
    except UNREADABLE as error:
        log.warning(
            "an update is not as the SDK expects it",
            update_id=raw.get("update_id"),
            error=repr(error),
        )
        return Update.de_json({name: _readable(name, part) for name, part in raw.items()}, bot)


def complete_result(endpoint: str, data: Mapping[str, Any], answer: Any) -> Any:
    """What a method brought. Of a message of ours only the id is kept: nothing else is used."""
    if not isinstance(answer, dict):
        return answer
    if endpoint in _SAYS and "message_id" in answer:
        chat = {"id": int(data["chat_id"]), "type": "private"}
        return {"message_id": answer["message_id"], "date": int(time.time()), "chat": chat}
    return {**_OF_ANSWERS.get(endpoint, {}), **answer}


def _readable(name: str, part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if name in _MESSAGES:
        return _message(part)
    part = {**_LEFT_OUT.get(name, {}), **part}
    if name == "callback_query":
        part["from"] = _user(part["from"])
        if "message" in part:
            part["message"] = _message(part["message"])
    return part


def _message(raw: Raw) -> Raw:
    """`raw` without what cannot be read; `unreadable` names it."""
    chat = {"type": "private" if raw["chat"]["id"] > 0 else "supergroup", **raw["chat"]}
    least = {"message_id": raw["message_id"], "date": int(raw.get("date", time.time()))}
    least["chat"] = chat
    kept, unreadable = dict(least), []
    for name, part in raw.items():
        if name in least:
            continue
        part = _part(name, part)
        try:
            Message.de_json({**least, name: part}, None)
        except UNREADABLE:
            unreadable.append(name)
        else:
            kept[name] = part
    return {**kept, "unreadable": unreadable} if unreadable else kept


def _part(name: str, part: Any) -> Any:
    if name == "from":
        return _user(part)
    if name in _WITHIN and isinstance(part, dict):
        return _message(part)
    if isinstance(part, list):  # the sizes of a picture
        return [_part("", one) for one in part]
    if isinstance(part, dict) and "file_id" in part:
        return {"file_unique_id": part["file_id"], **_OF_FILES, **part}
    return part


def _user(raw: Raw) -> Raw:
    return {"is_bot": False, "first_name": "", **raw}
