"""The seams inside the core: what the handler remembers with, thinks with and is traced by."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from bot.conversation import Usage
from bot.ports.tracing import TurnTrace

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. `images` are `data:` or `https:` addresses, for vision models."""

    role: Role
    text: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given, oldest first.

    Attributes:
        messages: system, summary, turns, the new message.
        tokens: the estimate of their size.
        first_seq: number of the oldest turn in it (what is older was dropped).
        cache_key: the same for all turns of a conversation; steers provider prompt caches.
    """

    messages: tuple[Message, ...]
    tokens: int = 0
    first_seq: int = 0
    cache_key: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer as it arrives; the last one carries the counts."""

    text: str = ""
    usage: Usage | None = None
    model: str = ""


class Model(Protocol):
    """A language model. Raises ModelError."""

    def stream(self, prompt: Prompt, trace: TurnTrace | None = None) -> AsyncGenerator[Piece]: ...

    async def aclose(self) -> None: ...
