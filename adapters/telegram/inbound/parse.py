"""Parsing of messages into `Incoming`. Pure: nothing is asked and nothing is sent.

Format: https://core.telegram.org/bots/api#update
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from telegram import Message, MessageEntity

from adapters.telegram.inbound.attachments import (
    attachments_of,
    describe_contents,
    text_of,
    unsupported,
)
from adapters.telegram.inbound.routing import (
    Addressee,
    BotIdentity,
    address_of,
    addressee_of,
    foreign_place,
    is_from,
    is_private_talk,
    replied_to,
    speaker_of,
)
from bot.conversation import Incoming
from bot.text import utf16_length, utf16_slice

LONG_UNITS = 3_900
"""Apps cut pastes at 4,096 units or a little before, at a blank: a message this long may be continued in the next."""

QUOTED_CHARS = 4_000


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
    """Parse `message`; None if it is not from a person, or in no place of the bot's."""
    speaker = speaker_of(message)
    if speaker is None or foreign_place(message):
        return None
    address = address_of(message, me.id, speaker)
    command = None if edited else _command(message, me)
    text, addressee = text_of(message), addressee_of(message, me)
    kind: Literal["message", "command", "edit"] = "edit" if edited else "message"
    if command is not None:
        kind, text, addressee = "command", command.text, command.addressee
    elif edited and _starts_as_command(message):
        return None  # an edited command runs no second time
    else:
        text = _without_mention(text, me)
    replied = replied_to(message)
    quoted_message = None if replied is None or is_from(replied, me) else replied
    descriptions = (describe_contents(message), _forward_note(message))
    incoming = Incoming(
        address=address,
        speaker=speaker,
        text="\n".join(filter(None, (*descriptions, text))),
        message_id=str(message.message_id),
        event_id=f"telegram:{me.id}:{update_id}",
        sent_at=(message.edit_date if edited else None) or message.date or datetime.now(UTC),
        kind=kind,
        quoted=_quoted(message, replied),
        attachments=attachments_of(message)
        + (attachments_of(quoted_message) if quoted_message else ()),
    )
    return ParsedMessage(
        incoming,
        addressee,
        is_bare_command=command is not None and command.is_bare,
        media_group_id=message.media_group_id or "",
        is_long=utf16_length(message.text or "") >= LONG_UNITS,
        replied_to=replied,
        unsupported=unsupported(message),
    )


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


def _without_mention(text: str, me: BotIdentity) -> str:
    """`text` without the bot's name at its beginning or end; in the middle it belongs to a sentence."""
    name = rf"@{re.escape(me.username)}\b"
    text = re.sub(rf"^\s*{name}[\s,:]*", "", text, flags=re.IGNORECASE)
    return re.sub(rf"\s*{name}\s*$", "", text, flags=re.IGNORECASE)


def _quoted(message: Message, replied: Message | None) -> str:
    """The quoted text: the part that was picked, or all of the message replied to."""
    if message.quote is not None:
        return message.quote.text[:QUOTED_CHARS]
    if replied is None:
        return ""
    text = "\n".join(filter(None, (describe_contents(replied), text_of(replied))))
    if len(text) > QUOTED_CHARS:
        text = text[:QUOTED_CHARS] + " […]"
    author = speaker_of(replied)
    is_named = text and author is not None and not is_private_talk(message)
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
