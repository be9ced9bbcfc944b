"""The values everything else speaks in: who said what, where, and what was answered.

All are frozen and serialisable; `to_json` and `from_json` are inverse for every value. None holds a
lone surrogate: a platform's JSON may bring one in a name or a text, and no JSON of ours could carry it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self
from urllib.parse import quote, unquote

import orjson
from pydantic import TypeAdapter

PlaceKind = Literal["private", "group", "channel"]
"""`private`: one person and the bot. `group`: several people. `channel`: a public room."""

IncomingKind = Literal["message", "command", "overheard", "edit", "delete", "feedback"]
TurnState = Literal["asked", "complete", "stopped", "failed", "overheard"]


def clean_text(text: str) -> str:
    """`text` without lone surrogates, which JSON can carry and UTF-8 cannot."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _clean(value: object, *names: str) -> None:
    """Clean the texts `names` of a value that is being made."""
    for name in names:
        text = getattr(value, name)
        if not text.isascii():
            object.__setattr__(value, name, clean_text(text))


@dataclass(frozen=True, slots=True, order=True)
class SessionKey:
    """Where a conversation lives. Parts are the platform's stable ids, never names.

    Attributes:
        platform: the adapter's name, such as `slack`.
        account: the workspace or the bot it happens in (Slack team id, Telegram bot id).
        place: the channel or chat id.
        thread: the thread or topic id, or `""` where there is none.
    """

    platform: str
    account: str
    place: str
    thread: str = ""

    def __post_init__(self) -> None:
        _clean(self, "platform", "account", "place", "thread")

    def __str__(self) -> str:
        """`platform/account/place/thread`, each part percent-encoded; `parse` is its inverse."""
        return "/".join(
            quote(part, safe="") for part in (self.platform, self.account, self.place, self.thread)
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that `str()` wrote.

        Raises:
            ValueError: `text` is no session key.
        """
        parts = text.split("/")
        if len(parts) != 4:
            raise ValueError(f"a session key has four parts, as in slack/T1/C1/: got {text!r}")
        key = cls(*(unquote(part, errors="strict") for part in parts))
        if str(key) != text:
            raise ValueError(f"not a session key as Keepthread writes it: {text!r}")
        return key


@dataclass(frozen=True, slots=True)
class Speaker:
    """A person, by stable id. `name` is only for showing. `account` is their home workspace."""

    id: str
    name: str = ""
    account: str = ""

    def __post_init__(self) -> None:
        _clean(self, "id", "name", "account")

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
        _clean(self, "name", "media_type", "reference", "text")


@dataclass(frozen=True, slots=True)
class Address:
    """All that is needed to answer there from any process.

    Attributes:
        session: the conversation.
        place_kind: whether one person reads it or several.
        recipient_id: the person the answer is for (Slack streams need it).
        recipient_account: that person's workspace.
        reply_to_id: the platform's id of the message answered.
        details: whatever else the adapter needs, as text.
    """

    session: SessionKey
    place_kind: PlaceKind = "private"
    recipient_id: str = ""
    recipient_account: str = ""
    reply_to_id: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _clean(self, "recipient_id", "recipient_account", "reply_to_id")
        if not all(text.isascii() for pair in self.details.items() for text in pair):
            cleaned = {clean_text(name): clean_text(text) for name, text in self.details.items()}
            object.__setattr__(self, "details", cleaned)

    @property
    def shared(self) -> bool:
        """Whether several people talk here, so that speakers need names."""
        return self.place_kind != "private"


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
        _clean(self, "text", "quoted", "message_id", "event_id")

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
        _clean(self, "text", "message_id")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said (one or more messages) and what was answered.

    Attributes:
        id: stable over retries, so that writing it twice is writing it once.
        incoming: what was said, in order; never empty.
        answer: the answer; of a stopped or failed turn, what was shown of it.
        state: `asked` until it ended.
        conversation_id: UUID of the talk between two resets; the LangSmith thread id.
        generation: the number a reset increases.
        run_id: LangSmith's id of the root run, or `""`.
        model: the model that answered.
        usage: tokens, or None if the provider did not say.
        note: why it failed, in a word, for people who look at it later.
        handover: of an answer that is written but may not have arrived: `refused`, it certainly did
            not; `repeated`, it was sent a second time.
        answer_ids: the platform's ids of the messages that hold the answer.
        finished_at: when it ended, in UTC.
    """

    id: str
    incoming: tuple[Incoming, ...]
    answer: str = ""
    state: TurnState = "asked"
    conversation_id: str = ""
    generation: int = 0
    run_id: str = ""
    model: str = ""
    usage: Usage | None = None
    note: str = ""
    handover: Literal["", "refused", "repeated"] = ""
    answer_ids: tuple[str, ...] = ()
    finished_at: datetime | None = None

    def __post_init__(self) -> None:
        _clean(self, "id", "answer", "conversation_id", "run_id", "model", "note")
        if not all(one.isascii() for one in self.answer_ids):
            object.__setattr__(self, "answer_ids", tuple(map(clean_text, self.answer_ids)))

    @property
    def session(self) -> SessionKey:
        return self.incoming[0].session

    @property
    def address(self) -> Address:
        """Where to answer: the address of the newest message."""
        return self.incoming[-1].address

    def ended(self, state: TurnState, answer: str, **changes: Any) -> Turn:
        """This turn, ended now."""
        return replace(
            self,
            state=state,
            answer=answer,
            finished_at=datetime.now(UTC),
            **changes,
        )

    def to_json(self) -> bytes:
        return _TURN.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, data: bytes | str) -> Turn:
        return _TURN.validate_json(data)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for exports."""
        data: dict[str, Any] = orjson.loads(self.to_json())
        return data


_INCOMING: TypeAdapter[Incoming] = TypeAdapter(Incoming)
_TURN: TypeAdapter[Turn] = TypeAdapter(Turn)
