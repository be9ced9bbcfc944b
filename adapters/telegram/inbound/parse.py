"""Parsing of messages into `Incoming`. Pure: nothing is asked and nothing is sent.

Format: https://core.telegram.org/bots/api#update
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from telegram import Chat, Message, MessageEntity, User

from adapters.telegram.inbound.attachments import (
    attachments_of,
    describe_contents,
    text_of,
    unsupported,
)
from adapters.telegram.outbound.target import TelegramDetails
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.text import utf16_length, utf16_slice

LONG_UNITS = 3_900
"""Apps cut pastes at 4,096 units or a little before, at a blank: a message this long may be continued in the next."""

QUOTED_CHARS = 4_000

Addressee = Literal["this_bot", "other_bot", "nobody"]
"""Whom a message is for; `nobody`: for neither bot."""


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """The bot's own user, as `getMe` describes it.

    Attributes:
        reads_all: privacy mode is off, so it sees messages that are not for it.
    """

    id: int
    username: str
    reads_all: bool = False


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """Message of a person, parsed.

    Attributes:
        incoming: as the core takes it; of a command without its slash.
        addressee: whom it is for.
        is_bare_command: a command that names no bot.
        media_group_id: of the album that it is a part of, or `""`.
        is_long: more of it may be in the next message.
        replied_to: the message that it is a reply to.
        unsupported: kind of its contents that cannot be read, or `""`.
    """

    incoming: Incoming
    addressee: Addressee
    is_bare_command: bool = False
    media_group_id: str = ""
    is_long: bool = False
    replied_to: Message | None = None
    unsupported: str = ""

    @property
    def dedupe(self) -> tuple[str, ...]:
        """The id of the message itself, the same in every update that holds it."""
        session = self.incoming.session
        return (f"telegram:{session.account}:{session.place}:{self.incoming.message_id}",)

    @property
    def is_empty(self) -> bool:
        incoming = self.incoming
        return not (incoming.text.strip() or incoming.attachments or incoming.quoted)


def parse_message(
    message: Message, me: BotIdentity, update_id: int, *, edited: bool = False
) -> ParsedMessage | None:
    """Parse `message`; None if it is not from a person."""
    speaker = speaker_of(message)
    if speaker is None:
        return None
    address = address_of(message, me.id, speaker)
    command = None if edited else _command(message, me)
    text, addressee = text_of(message), _addressee(message, me)
    kind: Literal["message", "command", "edit"] = "edit" if edited else "message"
    if command is not None:
        kind, text, addressee = "command", command.text, command.addressee
    elif edited and _starts_as_command(message):
        return None  # an edited command runs no second time
    else:
        text = _without_mention(text, me)
    replied_to = _replied_to(message)
    quoted_message = None if replied_to is None or _is_from(replied_to, me) else replied_to
    descriptions = (describe_contents(message), _forward_note(message))
    incoming = Incoming(
        address=address,
        speaker=speaker,
        text="\n".join(filter(None, (*descriptions, text))),
        message_id=str(message.message_id),
        event_id=f"telegram:{me.id}:{update_id}",
        sent_at=(message.edit_date if edited else None) or message.date or datetime.now(UTC),
        kind=kind,
        quoted=_quoted(message, replied_to),
        attachments=attachments_of(message)
        + (attachments_of(quoted_message) if quoted_message else ()),
    )
    return ParsedMessage(
        incoming,
        addressee,
        is_bare_command=command is not None and command.is_bare,
        media_group_id=message.media_group_id or "",
        is_long=utf16_length(message.text or "") >= LONG_UNITS,
        replied_to=replied_to,
        unsupported=unsupported(message),
    )


def session_of(chat_id: int, topic: int | None, bot_id: int) -> SessionKey:
    return SessionKey("telegram", str(bot_id), str(chat_id), str(topic) if topic else "")


def topic_of(message: Message) -> int | None:
    """The topic of a message. Without `is_topic_message` the number only names a reply chain."""
    return message.message_thread_id if message.is_topic_message else None


def address_of(message: Message, bot_id: int, speaker: Speaker) -> Address:
    """The address of `message`, to which its answer goes."""
    is_private = message.chat.type == Chat.PRIVATE
    topic = topic_of(message)
    is_in_chain = not is_private and topic is None and message.message_thread_id is not None
    return Address(
        session=session_of(message.chat.id, topic, bot_id),
        place_kind="private" if is_private else "group",
        recipient_id=speaker.id,
        reply_to_id=str(message.message_id),
        details=TelegramDetails(str(message.message_thread_id) if is_in_chain else "").write(),
    )


def speaker_of(message: Message) -> Speaker | None:
    """The person who wrote `message`, or the chat that a person writes as. None: a bot, or Telegram itself."""
    if message.sender_chat is not None:  # an anonymous administrator, or a person's channel
        chat = message.sender_chat
        return Speaker(str(chat.id), message.author_signature or chat.title or "")
    if message.from_user is None or message.from_user.is_bot:
        return None
    return speaker_for(message.from_user)


def speaker_for(user: User) -> Speaker:
    return Speaker(str(user.id), user.full_name)


@dataclass(frozen=True, slots=True)
class _Command:
    text: str
    addressee: Addressee
    is_bare: bool


def _command(message: Message, me: BotIdentity) -> _Command | None:
    """The command in a message, or None. `/usr/bin` is none, though Telegram marks it as one."""
    text = message.text or message.caption or ""
    entities = message.entities or message.caption_entities
    first = next((entity for entity in entities if entity.type == MessageEntity.BOT_COMMAND), None)
    if first is None or first.offset != 0:
        return None
    word = utf16_slice(text, 0, first.length)
    rest = text[len(word) :]
    if rest and not rest[0].isspace():
        return None
    name, _, bot = word[1:].partition("@")
    is_for_us = not bot or bot.lower() == me.username.lower()
    text = f"{name.lower()} {rest.strip()}".strip()
    return _Command(text, "this_bot" if is_for_us else "other_bot", is_bare=not bot)


def _starts_as_command(message: Message) -> bool:
    return message.text is not None and re.match(r"/\w+(@\w+)?(\s|$)", message.text) is not None


def _addressee(message: Message, me: BotIdentity) -> Addressee:
    if message.chat.type == Chat.PRIVATE:
        return "this_bot"
    if message.is_automatic_forward:  # a post of the channel whose comments are here
        return "nobody"
    text = message.text or message.caption or ""
    for entity in message.entities or message.caption_entities:
        if entity.type == MessageEntity.MENTION:
            name = utf16_slice(text, entity.offset, entity.offset + entity.length)
            if name[1:].lower() == me.username.lower():
                return "this_bot"
        if entity.type == MessageEntity.TEXT_MENTION and entity.user and entity.user.id == me.id:
            return "this_bot"
    replied_to = _replied_to(message)
    is_reply_to_us = replied_to is not None and _is_from(replied_to, me)
    return "this_bot" if is_reply_to_us else "nobody"


def _without_mention(text: str, me: BotIdentity) -> str:
    """`text` without the bot's name at its beginning or end; in the middle it belongs to a sentence."""
    name = rf"@{re.escape(me.username)}\b"
    text = re.sub(rf"^\s*{name}[\s,:]*", "", text, flags=re.IGNORECASE)
    return re.sub(rf"\s*{name}\s*$", "", text, flags=re.IGNORECASE)


def _replied_to(message: Message) -> Message | None:
    """The message that a person replies to. In topics every message "replies" to the one that opened it."""
    replied_to = message.reply_to_message
    if replied_to is None or replied_to.forum_topic_created is not None:
        return None
    return replied_to


def _is_from(message: Message, me: BotIdentity) -> bool:
    return message.from_user is not None and message.from_user.id == me.id


def _quoted(message: Message, replied_to: Message | None) -> str:
    """The quoted text: the part that was picked, or all of the message replied to."""
    if message.quote is not None:
        return message.quote.text[:QUOTED_CHARS]
    if replied_to is None:
        return ""
    text = "\n".join(filter(None, (describe_contents(replied_to), text_of(replied_to))))
    if len(text) > QUOTED_CHARS:
        text = text[:QUOTED_CHARS] + " […]"
    author = speaker_of(replied_to)
    is_named = text and author is not None and message.chat.type != Chat.PRIVATE
    return f"{author.label}: {text}" if is_named and author else text


def _forward_note(message: Message) -> str:
    """Note of the origin of a forwarded message; `""` if it is none."""
    origin = message.forward_origin
    if origin is None or message.is_automatic_forward:
        return ""
    user, chat = getattr(origin, "sender_user", None), getattr(origin, "sender_chat", None)
    chat = chat or getattr(origin, "chat", None)
    name = getattr(origin, "sender_user_name", "")
    who = user.full_name if user else chat.title if chat else name
    return f"[forwarded from {who}]" if who else "[forwarded]"
