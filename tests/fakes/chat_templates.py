"""Chat templates: the message sequences that families of models refuse, and their words for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ALTERNATE = "onversation roles must alternate user/assistant/user/assistant/..."


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """Rules of one family of models, and the refusal as its servers send it.

    Attributes:
        system: refusal of a system message in first place; `""`: it is taken.
        later_system: refusal of a system message elsewhere.
        alternate: refusal of two messages of the same role in a row, and of an answer in first place.
        empty: refusal of a message without words.
        status: HTTP status of a refusal.
        kind: the error's type in the body.
    """

    system: str = ""
    later_system: str = ""
    alternate: str = ""
    empty: str = ""
    status: int = 400
    kind: str = "BadRequestError"

    def refusal(self, messages: Sequence[dict[str, Any]]) -> str:
        """The refusal of `messages`; `""` if they are taken."""
        roles = [str(message["role"]) for message in messages]
        if self.system and roles[:1] == ["system"]:
            return self.system
        if self.later_system and "system" in roles[1:]:
            return self.later_system
        if self.empty and not all(map(_has_words, messages)):
            return self.empty
        talk = roles[1:] if roles[:1] == ["system"] else roles
        expected = ["user" if at % 2 == 0 else "assistant" for at in range(len(talk))]
        if self.alternate and (talk != expected or talk[-1:] != ["user"]):
            return self.alternate
        return ""

    def error(self, message: str) -> dict[str, Any]:
        """The body of a refusal."""
        return {
            "error": {"message": message, "type": self.kind, "param": None, "code": self.status}
        }


def _has_words(message: dict[str, Any]) -> bool:
    content = message["content"]
    texts = [content] if isinstance(content, str) else [part.get("text", "x") for part in content]
    return all(text.strip() for text in texts)


ANY = ChatTemplate()
"""Takes everything, as OpenAI's own models do."""
QWEN = ChatTemplate(later_system="System message must be at the beginning.")
"""Qwen in vLLM (its template's raise_exception)."""
MISTRAL = ChatTemplate(
    later_system=f"Unexpected role 'system' after the first message. C{ALTERNATE}",
    alternate=f"After the optional system message, c{ALTERNATE}",
)
ANTHROPIC = ChatTemplate(
    later_system='messages: Unexpected role "system".',
    alternate='messages: roles must alternate between "user" and "assistant"',
    empty="messages: text content blocks must be non-empty",
)
STRICT = ChatTemplate(
    later_system=QWEN.later_system, alternate=MISTRAL.alternate, empty=ANTHROPIC.empty
)
"""All rules at once, for models that know a system role."""
GEMMA = ChatTemplate(
    system="System role not supported",
    later_system="System role not supported",
    alternate=f"C{ALTERNATE}",
)
GEMMA_IN_LLAMA_CPP = ChatTemplate(
    system="Jinja Exception: System role not supported",
    alternate=f"Jinja Exception: C{ALTERNATE}",
    status=500,
    kind="server_error",
)
GEMMA_AT_GOOGLE = ChatTemplate(
    system="Developer instruction is not enabled for models/gemma-3-27b-it",
    kind="INVALID_ARGUMENT",
)
O1 = ChatTemplate(
    system="Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    later_system="Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    kind="invalid_request_error",
)
MISTRAL_7B = ChatTemplate(
    system=f"C{ALTERNATE}", later_system=f"C{ALTERNATE}", alternate=f"C{ALTERNATE}"
)
"""Mistral 7B v0.2: a system message counts as a message out of turn."""
WITH_SYSTEM = {"any": ANY, "Qwen": QWEN, "Mistral": MISTRAL, "Anthropic": ANTHROPIC}
WITHOUT_SYSTEM = {
    "Gemma": GEMMA,
    "Gemma in llama.cpp": GEMMA_IN_LLAMA_CPP,
    "Gemma at Google": GEMMA_AT_GOOGLE,
    "o1": O1,
    "Mistral 7B": MISTRAL_7B,
}
