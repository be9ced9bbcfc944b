"""Model port: prompt, streamed answer, and the language model between them."""

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
    """Input of the model, oldest message first.

    Attributes:
        messages: system message, if any; then user and assistant by turns, the user first and last.
        tokens: estimated size of the messages.
        first_seq: number of the oldest turn in it; older turns were dropped.
        cache_key: key of the provider's prompt cache, the same for all turns of a conversation.
        answer_tokens: the least that the answer's limit may be; 0: whatever the endpoint's is.
    """

    messages: tuple[Message, ...]
    tokens: int = 0
    first_seq: int = 0
    cache_key: str = ""
    answer_tokens: int = 0


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """Part of a streamed answer; the last carries usage and model.

    Attributes:
        thinking: text that the model wrote before its answer, and that is no part of it.
        retracts: all text before this part was thinking.
    """

    text: str = ""
    usage: Usage | None = None
    model: str = ""
    thinking: str = ""
    retracts: bool = False


class Model(Protocol):
    """Language model."""

    def stream(self, prompt: Prompt, trace: TurnTrace | None = None) -> AsyncGenerator[AnswerDelta]:
        """Stream the answer to `prompt`. Raises ModelError."""
        ...

    async def aclose(self) -> None: ...
