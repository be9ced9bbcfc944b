"""Answer of an endpoint as it is streamed: LangChain's chunks as deltas, and whether their end is a good one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.conversation import Usage
from bot.errors import AnswerCut, AnswerFiltered, OnlyThinking
from bot.model.thinking import Part, ThinkingSplitter
from bot.ports import AnswerDelta


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
            yield AnswerDelta(thinking=thinking)
        text = chunk.content if isinstance(chunk.content, str) else chunk.text
        if text:
            yield from map(self._to_delta, self.splitter.feed(text))

    def end(self) -> Iterator[AnswerDelta]:
        """The deltas that were held back, and the last one with usage and model."""
        yield from map(self._to_delta, self.splitter.end(is_complete=self.reason == "stop"))
        yield AnswerDelta(usage=self.usage, model=self.model)

    def check_end(self) -> None:
        """Raise the ModelError of an end that leaves no whole answer."""
        if self._has_thinking and not self._has_text and self.reason in ("stop", "length"):
            cure = "Raise BOT_MAX_ANSWER_TOKENS." if self.reason == "length" else ""
            raise OnlyThinking(f"nothing but thinking, finish_reason {self.reason}", cure=cure)
        if self.reason == "content_filter":
            raise AnswerFiltered("finish_reason content_filter")
        if self.reason is None:
            raise AnswerCut("the stream ended without a finish_reason")
        if self.reason == "length":
            raise AnswerCut("finish_reason length")

    def _to_delta(self, part: Part) -> AnswerDelta:
        if part.kind == "text":
            self._has_text = self._has_text or bool(part.text.strip())
            return AnswerDelta(part.text)
        self._has_thinking = True
        return AnswerDelta(thinking=part.text, retracts=part.kind == "retraction")


def _to_usage(counts: Mapping[str, Any]) -> Usage:
    details = counts.get("input_token_details") or {}
    return Usage(counts["input_tokens"], counts["output_tokens"], details.get("cache_read") or 0)
