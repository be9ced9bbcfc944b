"""Updates as Telegram sends them, in our terms. Pure: nothing is asked and nothing is sent.

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
from adapters.telegram.inbound.markdown import slice_utf16
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.text import utf16_length

LONG_UNITS = 3_900
"""Apps cut pastes at 4,096 units or a little before, at a blank: a message this long may go on in the next."""

QUOTED_CHARS = 4_000

Addressing = Literal["mine", "other", "nobody"]
"""`mine`: it is for the bot. `other`: it is for another bot. `nobody`: for neither."""


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """The bot itself, as far as messages show it.

    Attributes:
        reads_all: privacy mode is off, so it sees what is not meant for it.
    """

    id: int
    username: str
    reads_all: bool = False


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A message, understood.

    Attributes:
        incoming: as the core takes it; of a command without its slash.
        addressing: whom it is for.
        is_bare_command: a command that names no bot.
        album: id of the album that it is a part of, or `""`.
        is_long: more of it may be in the next message.
        target: the message that it answers.
        cannot_read: what in it nobody here can read, or `""`.
    """

    incoming: Incoming
    addressing: Addressing
    is_bare_command: bool = False
    album: str = ""
    is_long: bool = False
    target: Message | None = None
    cannot_read: str = ""

    @property
    def dedupe(self) -> tuple[str, ...]:
        """The id of the message itself, under whatever update it comes."""
        session = self.incoming.session
        return (f"telegram:{session.account}:{session.place}:{self.incoming.message_id}",)

    @property
    def is_empty(self) -> bool:
        one = self.incoming
        return not (one.text.strip() or one.attachments or one.quoted)


def parse_message(
    message: Message, me: BotIdentity, update_id: int, *, edited: bool = False
) -> ParsedMessage | None:
    """What `message` says; None if no person says anything in it."""
    speaker = speaker_of(message)
    if speaker is None:
        return None
    address = address_of(message, me.id, speaker)
    command = None if edited else _command(message, me)
    text, addressing = text_of(message), _addressing(message, me)
    kind: Literal["message", "command", "edit"] = "edit" if edited else "message"
    if command is not None:
        kind, text, addressing = "command", command.text, command.addressing
    elif edited and _starts_as_command(message):
        return None  # an edited command runs no second time
    else:
        text = _without_mention(text, me)
    target = _target(message)
    about = None if target is None or _is_from(target, me) else target
    words = "\n".join(filter(None, (describe_contents(message), _origin(message))))
    incoming = Incoming(
        address=address,
        speaker=speaker,
        text="\n".join(filter(None, (words, text))),
        message_id=str(message.message_id),
        event_id=f"telegram:{me.id}:{update_id}",
        sent_at=(message.edit_date if edited else None) or message.date or datetime.now(UTC),
        kind=kind,
        quoted=_quoted(message, target),
        attachments=attachments_of(message) + (attachments_of(about) if about else ()),
    )
    return ParsedMessage(
        incoming,
        addressing,
        is_bare_command=command is not None and command.is_bare,
        album=message.media_group_id or "",
        is_long=utf16_length(message.text or "") >= LONG_UNITS,
        target=target,
        cannot_read=unsupported(message),
    )


def session_of(chat_id: int, topic: int | None, bot_id: int) -> SessionKey:
    return SessionKey("telegram", str(bot_id), str(chat_id), str(topic) if topic else "")


def topic_of(message: Message) -> int | None:
    """The topic a message is in. Without `is_topic_message` the number only names a chain of answers."""
    return message.message_thread_id if message.is_topic_message else None


def address_of(message: Message, bot_id: int, speaker: Speaker) -> Address:
    """Where `message` was said, and where its answer goes."""
    is_private = message.chat.type == Chat.PRIVATE
    topic = topic_of(message)
    in_chain = not is_private and topic is None and message.message_thread_id is not None
    return Address(
        session=session_of(message.chat.id, topic, bot_id),
        place_kind="private" if is_private else "group",
        recipient_id=speaker.id,
        reply_to_id=str(message.message_id),
        details={"chain": str(message.message_thread_id)} if in_chain else {},
    )


def speaker_of(message: Message) -> Speaker | None:
    """Who says it: a person, or a chat that somebody speaks as. None: a bot, or the machinery."""
    if message.sender_chat is not None:  # an anonymous administrator, or somebody's channel
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
    addressing: Addressing
    is_bare: bool


def _command(message: Message, me: BotIdentity) -> _Command | None:
    """The command that a message is. `/usr/bin` is none, though Telegram marks it as one."""
    text = message.text or message.caption or ""
    entities = message.entities or message.caption_entities
    first = next((one for one in entities if one.type == MessageEntity.BOT_COMMAND), None)
    if first is None or first.offset != 0:
        return None
    word = slice_utf16(text, 0, first.length)
    rest = text[len(word) :]
    if rest and not rest[0].isspace():
        return None
    name, _, bot = word[1:].partition("@")
    is_mine = not bot or bot.lower() == me.username.lower()
    words = f"{name.lower()} {rest.strip()}".strip()
    return _Command(words, "mine" if is_mine else "other", is_bare=not bot)


def _starts_as_command(message: Message) -> bool:
    return message.text is not None and re.match(r"/\w+(@\w+)?(\s|$)", message.text) is not None


def _addressing(message: Message, me: BotIdentity) -> Addressing:
    if message.chat.type == Chat.PRIVATE:
        return "mine"
    if message.is_automatic_forward:  # a post of the channel whose comments are here
        return "nobody"
    text = message.text or message.caption or ""
    for one in message.entities or message.caption_entities:
        if one.type == MessageEntity.MENTION:
            name = slice_utf16(text, one.offset, one.offset + one.length)
            if name[1:].lower() == me.username.lower():
                return "mine"
        if one.type == MessageEntity.TEXT_MENTION and one.user and one.user.id == me.id:
            return "mine"
    target = _target(message)
    return "mine" if target is not None and _is_from(target, me) else "nobody"


def _without_mention(text: str, me: BotIdentity) -> str:
    """`text` without the bot's name at its beginning or end; in the middle it belongs to a sentence."""
    name = rf"@{re.escape(me.username)}\b"
    text = re.sub(rf"^\s*{name}[\s,:]*", "", text, flags=re.IGNORECASE)
    return re.sub(rf"\s*{name}\s*$", "", text, flags=re.IGNORECASE)


def _target(message: Message) -> Message | None:
    """The message that a person answers. In topics every message "answers" the one that opened it."""
    target = message.reply_to_message
    if target is None or target.forum_topic_created is not None:
        return None
    return target


def _is_from(message: Message, me: BotIdentity) -> bool:
    return message.from_user is not None and message.from_user.id == me.id


def _quoted(message: Message, target: Message | None) -> str:
    """What the message points at: the part that was picked, or the message that it answers."""
    if message.quote is not None:
        return message.quote.text[:QUOTED_CHARS]
    if target is None:
        return ""
    text = "\n".join(filter(None, (describe_contents(target), text_of(target))))
    if len(text) > QUOTED_CHARS:
        text = text[:QUOTED_CHARS] + " […]"
    author = speaker_of(target)
    is_named = text and author is not None and message.chat.type != Chat.PRIVATE
    return f"{author.label}: {text}" if is_named and author else text


def _origin(message: Message) -> str:
    """Whom a forwarded message is from."""
    origin = message.forward_origin
    if origin is None or message.is_automatic_forward:
        return ""
    user, chat = getattr(origin, "sender_user", None), getattr(origin, "sender_chat", None)
    chat = chat or getattr(origin, "chat", None)
    name = getattr(origin, "sender_user_name", "")
    who = user.full_name if user else chat.title if chat else name
    return f"[forwarded from {who}]" if who else "[forwarded]"
