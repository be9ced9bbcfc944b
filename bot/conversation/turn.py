"""Turns: messages and their answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter

from bot.conversation.message import Incoming
from bot.conversation.session import Address, SessionKey
from bot.text import clean_fields, clean_text

TurnState = Literal["asked", "complete", "stopped", "failed", "overheard"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of the provider."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One or more messages, and the answer to them.

    Attributes:
        id: stable over retries, so that writing it twice is writing it once.
        incoming: the messages, in order; never empty.
        answer: the answer; of a stopped or failed turn, the part that was shown.
        state: `asked` until it ended.
        conversation_id: UUID of the conversation between two resets; the LangSmith thread id.
        generation: the number a reset increases.
        run_id: LangSmith's id of the root run, or `""`.
        model: the model that answered.
        usage: token counts, or None if the provider gave none.
        note: name of the error it failed with.
        handover: state of a stored answer without `answer_ids`: `refused`, it is certainly not
            delivered; `repeated`, a second attempt was begun, and nobody knows its result; `delivered`, it
            is, though the platform gives no ids.
        answer_ids: the platform's ids of the messages that hold the answer.
        finished_at: time of its end, in UTC.
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
    handover: Literal["", "refused", "repeated", "delivered"] = ""
    answer_ids: tuple[str, ...] = ()
    finished_at: datetime | None = None

    def __post_init__(self) -> None:
        clean_fields(self, "id", "answer", "conversation_id", "run_id", "model", "note")
        if not all(id_.isascii() for id_ in self.answer_ids):
            object.__setattr__(self, "answer_ids", tuple(map(clean_text, self.answer_ids)))

    @property
    def session(self) -> SessionKey:
        return self.incoming[0].session

    @property
    def address(self) -> Address:
        """Address of the newest message, where the answer goes."""
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


_TURN: TypeAdapter[Turn] = TypeAdapter(Turn)
