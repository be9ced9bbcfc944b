"""Endpoint dialects: parameters and contents that OpenAI-compatible endpoints refuse, and their words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Refused = tuple[int, Any]
"""HTTP status and body of a refusal."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Rules of one endpoint.

    Attributes:
        params: refused parameters, each with the refusal.
        images: refusal of pictures.
    """

    params: tuple[tuple[str, Refused], ...] = ()
    images: Refused | None = None

    def refusal(self, body: Mapping[str, Any]) -> Refused | None:
        """The refusal of a request; None if it is taken."""
        for name, refused in self.params:
            if body.get(name) is not None:
                return refused
        has_images = any(
            part["type"] == "image_url"
            for message in body["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
        )
        return self.images if has_images else None


def openai_error(message: str, param: str | None = None, code: str | None = None) -> Any:
    """An error body in OpenAI's shape."""
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    }


def _extra(name: str, value: int) -> Any:
    return {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": value}  # fmt: skip


OPENAI = Dialect(
    (
        (
            "max_tokens",
            (
                400,
                openai_error(
                    "Unsupported parameter: 'max_tokens' is not supported with this model. "
                    "Use 'max_completion_tokens' instead.",
                    "max_tokens",
                    "unsupported_parameter",
                ),
            ),
        ),
    )
)
"""OpenAI's reasoning models."""
MISTRAL = Dialect(
    (
        (
            "max_completion_tokens",
            (
                422,
                {
                    "object": "error",
                    "message": {"detail": [_extra("max_completion_tokens", 16)]},
                    "type": "invalid_request_error",
                    "param": None,
                    "code": None,
                },
            ),
        ),
    )
)
FASTAPI = Dialect(
    tuple(
        (name, (422, {"detail": [_extra(name, 1)]}))
        for name in ("stream_options", "max_completion_tokens", "temperature")
    )
)
"""A small server with strict pydantic models, as many are."""
NO_LIMIT = Dialect(
    tuple(
        (name, (400, {"error": f"unknown parameter {name}"}))
        for name in ("max_completion_tokens", "max_tokens")
    )
)
AZURE_REASONING = Dialect(
    (
        (
            "temperature",
            (
                400,
                openai_error(
                    "Unsupported value: 'temperature' does not support 0.2 with this model. "
                    "Only the default (1) value is supported.",
                    "temperature",
                    "unsupported_value",
                ),
            ),
        ),
    )
)
OPENROUTER_TEXT = Dialect(
    images=(
        404,
        {"error": {"message": "No endpoints found that support image input", "code": 404}},
    )
)
LLAMA_CPP_TEXT = Dialect(
    images=(
        500,
        {
            "error": {
                "code": 500,
                "message": "image input is not supported - hint: if this is unexpected, you may need "
                "to provide the mmproj",
                "type": "server_error",
            }
        },
    )
)
DEEPSEEK = Dialect(
    images=(
        400,
        openai_error(
            "Failed to deserialize the JSON body into the target type: messages[1]: unknown variant "
            "`image_url`, expected `text` at line 1 column 120",
            None,
            "invalid_request_error",
        ),
    )
)
GROQ_TEXT = Dialect(
    images=(400, openai_error("'messages.1' : for 'role:user' the following must be satisfied"
                              "[('messages.1.content' : value must be a string)]"))
)  # fmt: skip
VLLM_TEXT = Dialect(
    images=(
        400,
        {
            "object": "error",
            "message": "At most 0 image(s) may be provided in one prompt.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    )
)
TEXT_ONLY = {
    "OpenRouter": OPENROUTER_TEXT,
    "llama.cpp": LLAMA_CPP_TEXT,
    "DeepSeek": DEEPSEEK,
    "Groq": GROQ_TEXT,
    "vLLM": VLLM_TEXT,
}
