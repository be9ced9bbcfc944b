"""Finds out from an error answer which parameter or feature the endpoint does not take.

A lesson is first tried, and kept only once the request without the trait was accepted: words alone prove
nothing, and may be a person's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bot.model.refusals.kinds import Refusal
from bot.model.traits import Traits

_NOT_TAKEN = (
    r"not (?:be )?(?:\w+ )?(?:supported|support|enabled|enable|allowed|accepted|available|permitted|implemented|a valid)"
    r"|n't (?:be )?(?:\w+ )?(?:supported|support|enabled|allowed|accepted|available|accept|allow)"
    r"|unsupported|unexpected|unknown|invalid|unrecogni[sz]ed|no .{0,30}support|only supports?|must be"
)
_SYSTEM = re.compile(
    # Gemma's template: System role not supported; Bedrock: This model doesn't support system messages;
    # o1: 'messages[0].role' does not support 'system'; Google: Developer instruction is not enabled for …
    r"(?:system|developer)\W{0,3}\s?(?:role|messages?|prompts?|instructions?)\b.{0,60}(?:"
    + _NOT_TAKEN
    + ")"
    r"|(?:" + _NOT_TAKEN + r")\b.{0,60}(?:system|developer)\b"
    r"|roles? must alternate"  # Mistral 7B's template; ours alternate, but for the system message
    r"|roles?\b.{0,60}(?:" + _NOT_TAKEN + r").{0,60}(?:system|developer)\b",
    re.I,
)
_IMAGES = re.compile(
    # OpenRouter: No endpoints found that support image input; llama.cpp: image input is not supported;
    # DeepSeek: unknown variant `image_url`; Groq: content must be a string;
    # vLLM: is not a multimodal model, At most 0 image(s) may be provided
    r"image|picture|vision|multi-?modal|mmproj|must be a string|modalit|invalid content type"
    r"|valid string",
    re.I,
)
_BAD_IMAGE = re.compile(
    # About this one picture, not about the model.
    r"(?:could ?n[o']t|unable to|failed to|cannot|can't) (?:process|read|decode|download|fetch|load|open|parse)"
    r"|(?:invalid|corrupt(?:ed)?|malformed|broken) (?:image|picture|base64)|image (?:data|file|size|dimensions?|format)"
    r"|(?:unsupported|not supported) (?:image )?(?:format|media type|type)|too (?:large|many|small)|image exceeds"
    r"|larger than|at most [1-9]",
    re.I,
)
_UNREAD = (400, 415, 422)
_LIMIT = re.compile(r"max_(?:completion_|output_|new_)?tokens")
_TOO_HIGH = re.compile(
    r"at most|too (?:large|high)|less than or equal|must be (?:<|less)|maximum|range", re.I
)


@dataclass(frozen=True, slots=True)
class RequestParts:
    """Parts of a request that an endpoint may not take."""

    system: bool = False
    images: bool = False
    temperature: bool = False
    limit: bool = False


@dataclass(frozen=True, slots=True)
class Lesson:
    """Traits to ask with instead; `keep`: whether they hold for later requests too."""

    traits: Traits
    keep: bool = True


def lesson_of(refusal: Refusal, asked: Traits, parts: RequestParts) -> Lesson | None:
    """What a refusal of a request with the traits `asked` teaches; None if nothing that was sent is named."""
    if not refusal.is_of_request:
        return None
    text = refusal.body.text
    if asked.stream_options and re.search("stream_options|include_usage", text):
        return Lesson(replace(asked, stream_options=False))
    if parts.temperature and asked.temperature and "temperature" in text.lower():
        return Lesson(replace(asked, temperature=False))
    if parts.limit and asked.limit_name and _LIMIT.search(text):
        is_name = asked.limit_name == "max_completion_tokens" and not _TOO_HIGH.search(text)
        return Lesson(replace(asked, limit_name="max_tokens" if is_name else ""))
    if parts.images and asked.images and _IMAGES.search(text):
        return Lesson(replace(asked, images=False), keep=not _BAD_IMAGE.search(text))
    if parts.system and asked.system_role and _SYSTEM.search(text):
        return Lesson(replace(asked, system_role=False))
    if (
        parts.images and asked.images and refusal.status in _UNREAD
    ):  # in unknown words, perhaps for the picture
        return Lesson(replace(asked, images=False), keep=False)
    return None
