"""Parsing of messages into `Incoming`. Pure: nothing is asked and nothing is sent.

Format: https://core.telegram.org/bots/api#update
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from telegram import Message

from adapters.telegram.inbound.message_text import read_contents
from adapters.telegram.inbound.references import forward_note, quoted_by
from adapters.telegram.inbound.routing import (
    Addressee,
    BotIdentity,
    address_of,
    addressee_of,
    foreign_place,
    replied_to,
    speaker_of,
)
from bot.conversation import Incoming
from bot.text import utf16_length

LONG_UNITS = 3_900
"""Apps cut pastes at 4,096 units or a little before, at a blank: a message this long may be continued in the next."""


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """Message of a person, parsed.

    Attributes:
        incoming: as the core takes it; of a command without its slash.
        addressee: whom it is for.
        is_bare_command: a command that names no bot.
        media_group_id: of the album that it is a part of, or `""`.
        is_long: more of it may be in the next message.
        is_forward: it is a message of somebody else's, or of another chat.
        replied_to: the message that it is a reply to.
        has_words: its author wrote something, be it only the bot's name.
        unsupported: kind of its contents that cannot be read, or `""`.
    """

    incoming: Incoming
    addressee: Addressee
    is_bare_command: bool = False
    media_group_id: str = ""
    is_long: bool = False
    is_forward: bool = False
    has_words: bool = False
    replied_to: Message | None = None
    unsupported: str = ""

    @property
    def dedupe(self) -> tuple[str, ...]:
        """The id of the message itself, the same in every update that holds it."""
        session = self.incoming.session
        return (f"telegram:{session.account}:{session.place}:{self.incoming.message_id}",)

    @property
    def overheard_dedupe(self) -> tuple[str, ...]:
        """Its id as an overheard message: an edit may yet make it one for the bot."""
        return tuple(f"{id_}:overheard" for id_ in self.dedupe)

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
    contents, note = read_contents(message), forward_note(message)
    command = contents.command
    if edited and command is not None:
        return None  # an edited command runs no second time
    if note:
        command = None  # its words are somebody else's
    kind: Literal["message", "command", "edit"] = "edit" if edited else "message"
    addressee = addressee_of(message, contents, me)
    if command is not None:
        kind, text = "command", f"{command.name} {command.arguments}".strip()
        addressee = "this_bot" if command.bot in ("", me.username.lower()) else "other_bot"
    else:
        words = without_mention(contents.markdown, me.username)
        text = "\n".join(filter(None, (note, contents.description, words)))
    quoted, quoted_files = quoted_by(message, me)
    incoming = Incoming(
        address=address_of(message, me.id, speaker),
        speaker=speaker,
        text=text,
        message_id=str(message.message_id),
        event_id=f"telegram:{me.id}:{update_id}",
        sent_at=(message.edit_date if edited else None) or message.date or datetime.now(UTC),
        kind=kind,
        quoted=quoted,
        attachments=contents.attachments + quoted_files,
    )
    return ParsedMessage(
        incoming,
        addressee,
        is_bare_command=command is not None and not command.bot,
        media_group_id=message.media_group_id or "",
        is_long=utf16_length(message.text or "") >= LONG_UNITS,
        is_forward=bool(note),
        has_words=bool(contents.markdown.strip()),
        replied_to=replied_to(message),
        unsupported=contents.unsupported,
    )


def without_mention(text: str, username: str) -> str:
    """`text` without the bot's name at its beginning or end; in the middle it belongs to a sentence."""
    name = f"@{username}".lower()
    words = text.lstrip()
    after = words[len(name) :]
    if words[: len(name)].lower() == name and not _is_in_name(after[:1]):
        text = after.lstrip(" \t\r\n,:")
    words = text.rstrip()
    before = words[: -len(name)]
    if words[-len(name) :].lower() == name and not _is_in_name(before[-1:]):
        text = before.rstrip()
    return text


def _is_in_name(char: str) -> bool:
    return char == "_" or char.isalnum()
