"""References of a message to others: what it replies to, what it quotes, and what it was forwarded from."""

from __future__ import annotations

from typing import Any

from telegram import Message, TextQuote

from adapters.telegram.inbound.markdown import to_markdown
from adapters.telegram.inbound.message_text import MessageText, read_contents
from adapters.telegram.inbound.routing import (
    BotIdentity,
    is_from,
    is_private_talk,
    replied_to,
    speaker_of,
)
from bot.conversation import Attachment

QUOTED_CHARS = 4_000

_IN_NOTES = str.maketrans({"[": "(", "]": ")"})


def quoted_by(message: Message, me: BotIdentity) -> tuple[str, tuple[Attachment, ...]]:
    """The words and the files that `message` quotes, from this chat or another."""
    if message.external_reply is not None:
        contents = read_contents(message.external_reply)
        source = origin_of(message.external_reply.origin) or "another chat"
        words = _words(message.quote, contents) or "[a message]"
        return f"{source}: {words}", contents.attachments
    replied = replied_to(message)
    if replied is None:
        return _cut(_quote(message.quote)), ()
    contents = read_contents(replied)
    words = _words(message.quote, contents)
    author = speaker_of(replied)
    if words and message.quote is None and author and not is_private_talk(message):
        words = f"{author.label}: {words}"
    return words, () if is_from(replied, me) else contents.attachments


def forward_note(message: Message) -> str:
    """Note of the origin of a forwarded message; `""` if it is none."""
    if message.forward_origin is None or message.is_automatic_forward:
        return ""
    who = origin_of(message.forward_origin)
    return f"[forwarded from {who}]" if who else "[forwarded]"


def origin_of(origin: Any) -> str:
    """Whom a message of another chat is from, on one line; `""` if that is hidden."""
    user = getattr(origin, "sender_user", None)
    chat = getattr(origin, "sender_chat", None) or getattr(origin, "chat", None)
    name = getattr(origin, "sender_user_name", "")
    who = user.full_name if user else (chat.title or chat.full_name or "") if chat else name
    return " ".join(who.translate(_IN_NOTES).split())


def _words(picked: TextQuote | None, contents: MessageText) -> str:
    """The part that was picked, or all; and what cannot be read is named."""
    unreadable = f"[I cannot read {contents.unsupported}]" if contents.unsupported else ""
    if picked is not None:
        words = "\n".join(filter(None, (contents.description, _quote(picked))))
    else:
        words = contents.described
    return _cut("\n".join(filter(None, (unreadable, words))))


def _quote(picked: TextQuote | None) -> str:
    return to_markdown(picked.text, picked.entities or ()) if picked is not None else ""


def _cut(text: str) -> str:
    return text if len(text) <= QUOTED_CHARS else text[:QUOTED_CHARS] + " […]"
