"""Messages: their speakers, texts and attachments."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from pydantic import TypeAdapter

from bot.conversation.session import Address, SessionKey
from bot.text import clean_fields

IncomingKind = Literal["message", "command", "overheard", "edit", "delete", "feedback"]


@dataclass(frozen=True, slots=True)
class Speaker:
    """A person, by stable id. `name` is for display only; `account` is their home workspace."""

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
    """File, picture or voice message that came with a message.

    Attributes:
        kind: how a model can be given it.
        name: file name as the platform shows it.
        media_type: MIME type, or `""` if unknown.
        reference: file id or URL, for the adapter to download it.
        size_bytes: size that the platform states, or None.
        text: its content once it was read, or a note why it could not be.
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
    """Message, command, edit, deletion or feedback of a person.

    Attributes:
        address: where it was written, and where to answer.
        speaker: its author.
        text: its text as Markdown.
        message_id: the platform's id of the message, unique within the place.
        event_id: the platform's id of the delivery; a repeated delivery has the same.
        sent_at: time in UTC.
        kind: `command` texts are `name arguments`, without a slash.
        quoted: text of the earlier message that it quotes.
        attachments: its files, pictures and voice messages.
        seed: earlier messages of the thread, oldest first; set once, by the first message of a conversation.
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

    def edited(self, edit: Incoming) -> Incoming:
        """This message with the text and the files of an edit; files that were known stay as they are known."""
        known = {item.reference: item for item in self.attachments if item.reference}
        notes = [item for item in self.attachments if not item.reference]
        files = [known.get(item.reference, item) for item in edit.attachments if item.reference]
        return replace(self, text=edit.text, attachments=(*files, *notes))

    def to_json(self) -> bytes:
        return _INCOMING.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, data: bytes | str) -> Incoming:
        return _INCOMING.validate_json(data)


@dataclass(frozen=True, slots=True)
class Overheard:
    """Earlier message of a thread that was not for the bot, with its attachments."""

    speaker: Speaker
    text: str
    message_id: str = ""
    attachments: tuple[Attachment, ...] = ()

    def __post_init__(self) -> None:
        clean_fields(self, "text", "message_id")


_INCOMING: TypeAdapter[Incoming] = TypeAdapter(Incoming)
