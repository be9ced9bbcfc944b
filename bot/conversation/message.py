"""The values everything else speaks in: who said what, where, and what was answered.

All are frozen and serialisable; `to_json` and `from_json` are inverse for every value. None holds a
lone surrogate: a platform's JSON may bring one in a name or a text, and no JSON of ours could carry it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from pydantic import TypeAdapter

from bot.conversation.session import Address, SessionKey
from bot.text import clean_fields

IncomingKind = Literal["message", "command", "overheard", "edit", "delete", "feedback"]


@dataclass(frozen=True, slots=True)
class Speaker:
    """A person, by stable id. `name` is only for showing. `account` is their home workspace."""

    id: str
    name: str = ""
    account: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, "id", "name", "account")

    @property
    def label(self) -> str:
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something that came with a message.

    Attributes:
        kind: what it is to a model.
        name: file name as the person sees it.
        media_type: MIME type, or `""` if unknown.
        reference: what the adapter needs to fetch it again (a file id or an address).
        size_bytes: size as the platform states it, or None.
        text: its content in words once read, or a note why it could not be.
    """

    kind: Literal["image", "audio", "document", "other"]
    name: str = ""
    media_type: str = ""
    reference: str = ""
    size_bytes: int | None = None
    text: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, "name", "media_type", "reference", "text")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One thing a person said or did.

    Attributes:
        address: where, and where to answer.
        speaker: who.
        text: what, decoded to plain Markdown.
        message_id: the platform's id of the message, unique within the place.
        event_id: the platform's id of the delivery; a repeated delivery has the same.
        sent_at: when, in UTC.
        kind: `command` texts are `name arguments`, without a slash.
        quoted: text of an earlier message it points at.
        attachments: files, pictures, voice.
        seed: earlier messages of the place, given once, oldest first.
    """

    address: Address
    speaker: Speaker
    text: str
    message_id: str = ""
    event_id: str = ""
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    kind: IncomingKind = "message"
    quoted: str = ""
    attachments: tuple[Attachment, ...] = ()
    seed: tuple[Overheard, ...] = ()

    def __post_init__(self) -> None:
        clean_fields(self, "text", "quoted", "message_id", "event_id")

    @property
    def session(self) -> SessionKey:
        return self.address.session

    def to_json(self) -> bytes:
        return _INCOMING.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, data: bytes | str) -> Incoming:
        return _INCOMING.validate_json(data)


@dataclass(frozen=True, slots=True)
class Overheard:
    """An earlier message that was not for the bot: who said it, and what."""

    speaker: Speaker
    text: str
    message_id: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, "text", "message_id")


_INCOMING: TypeAdapter[Incoming] = TypeAdapter(Incoming)
