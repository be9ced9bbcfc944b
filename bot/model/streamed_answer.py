"""Answer of an endpoint as it is streamed: LangChain's chunks as deltas, and whether their end is a good one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.conversation import Usage
from bot.errors import AnswerCut, AnswerFiltered, OnlyThinking
from bot.model.refusals.body import read_error_body
from bot.model.refusals.kinds import Refusal, RefusedResponse
from bot.model.thinking import Part, ThinkingSplitter
from bot.ports import AnswerDelta
from bot.text import clean_text

GOOD_ENDS = frozenset({"stop", "stop_sequence", "end_turn", "eos", "eos_token", "complete"})
"""Ends of whole answers: OpenAI's, TGI's, Anthropic's, Together's and Cohere's; any other is cut off."""
LIMIT_ENDS = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
"""Ends at a limit of tokens: OpenAI's, Gemini's, the Responses API's and Mistral's."""
FILTER_ENDS = frozenset(
    {"content_filter", "content_filtered", "safety", "sensitive", "prohibited_content", "blocklist", "recitation",
     "spii", "refusal", "guardrail_intervened", "image_safety"}
)  # fmt: skip
"""Ends by a filter: OpenAI's, Bedrock's, Gemini's, Zhipu's and Anthropic's."""
NO_END = frozenset({"", "null", "none"})
"""Reasons of chunks that are not the last."""


@dataclass(slots=True)
class StreamedAnswer:
    """State of one streamed answer.

    Attributes:
        model: name of the model; the endpoint may tell another than was asked for.
        reason: its `finish_reason`, once it was told.
    """

    model: str
    splitter: ThinkingSplitter = field(default_factory=ThinkingSplitter)
    reason: str | None = None
    usage: Usage | None = None
    _has_text: bool = False
    _has_thinking: bool = False
    _half: str = ""

    def add(self, chunk: Any) -> Iterator[AnswerDelta]:
        """The deltas of a chunk: thinking in a field of its own, and the parts of its content."""
        meta = chunk.response_metadata
        if meta:
            self.reason = meta.get("finish_reason") or self.reason
            self.model = meta.get("model_name") or self.model
        if chunk.usage_metadata:
            self.usage = _to_usage(chunk.usage_metadata)
        if thinking := chunk.additional_kwargs.get("thinking"):
            self._has_thinking = True
            yield AnswerDelta(thinking=clean_text(thinking))
        text = self._half + (chunk.content if isinstance(chunk.content, str) else chunk.text)
        is_halved = bool(text) and "\ud800" <= text[-1] <= "\udbff"
        self._half = (
            text[-1] if is_halved else ""
        )  # the other half of an emoji is in the next chunk
        if text := clean_text(text[:-1] if is_halved else text):
            yield from map(self._to_delta, self.splitter.feed(text))

    def end(self) -> Iterator[AnswerDelta]:
        """The deltas that were held back, and the last one with usage and model."""
        if self._half:
            yield from map(self._to_delta, self.splitter.feed(clean_text(self._half)))
        yield from map(self._to_delta, self.splitter.end(is_complete=self.reason in GOOD_ENDS))
        yield AnswerDelta(usage=self.usage, model=self.model)

    def check_end(self) -> None:
        """Raise the ModelError of an end that leaves no whole answer."""
        if self.reason is None:
            raise AnswerCut("the stream ended without a finish_reason")
        detail = f"finish_reason {self.reason[:100]}"
        if self._has_thinking and not self._has_text and self.reason in GOOD_ENDS | LIMIT_ENDS:
            cure = "Raise BOT_MAX_ANSWER_TOKENS." if self.reason in LIMIT_ENDS else ""
            raise OnlyThinking(f"nothing but thinking, {detail}", cure=cure)
        if self.reason in FILTER_ENDS:
            raise AnswerFiltered(detail)
        if self.reason not in GOOD_ENDS:
            raise AnswerCut(detail)

    def _to_delta(self, part: Part) -> AnswerDelta:
        if part.kind == "text":
            self._has_text = self._has_text or bool(part.text.strip())
            return AnswerDelta(part.text)
        self._has_thinking = True
        return AnswerDelta(thinking=part.text, retracts=part.kind == "retraction")


def standard_chunk(chunk: dict[str, Any]) -> dict[str, Any]:
    """A chunk in OpenAI's shape, whatever an endpoint makes of it.

    A refusal in a field of its own is the answer; the end counts also beside a delta that is null.

    Raises:
        RefusedResponse: it is an error, or its choice has one.
    """
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        _raise_error(chunk)
        return {**chunk, "choices": [], "usage": _counted(chunk.get("usage"))}
    _raise_error({"error": choice.get("error")})
    delta = choice.get("delta") or choice.get("message")
    if not isinstance(delta, dict):
        delta = {}
    content = delta.get("content")
    if not content and isinstance(delta.get("refusal"), str):
        content = delta["refusal"]
    reason = str(choice.get("finish_reason") or "").lower()
    standard = {
        **choice,
        "delta": {**delta, "role": "assistant", "content": content},
        "finish_reason": None if reason in NO_END else reason,
    }
    return {**chunk, "choices": [standard], "usage": _counted(chunk.get("usage"))}


def _raise_error(part: Mapping[str, Any]) -> None:
    """Raise RefusedResponse if `part` of a stream is an error."""
    base = part.get("base_resp")  # MiniMax sends it with each chunk; 0 is no error
    is_base_error = isinstance(base, dict) and bool(base.get("status_code"))
    if is_base_error or any(part.get(name) for name in ("error", "errors", "detail", "message")):
        body = read_error_body(dict(part))
        if body.text:
            raise RefusedResponse(Refusal(body.status or 500, body))


def _counted(usage: object) -> dict[str, Any] | None:
    """Usage with counts that are counts; None if it has none."""
    if not isinstance(usage, dict):
        return None
    names = ("prompt_tokens", "completion_tokens")
    if any(type(usage.get(name)) is not int for name in names):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    counts: dict[str, Any] = {name: usage[name] for name in names}
    if type(cached) is int:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    return counts


def _to_usage(counts: Mapping[str, Any]) -> Usage:
    details = counts.get("input_token_details") or {}
    return Usage(counts["input_tokens"], counts["output_tokens"], details.get("cache_read") or 0)
