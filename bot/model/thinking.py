"""Separates a model's thinking from its answer.

Endpoints without a reasoning parser leave thinking in the content, in tags; where the prompt's template ends
with the opening tag, only the closing one comes. Sources: the reasoning parsers of vLLM and SGLang, and the
tags that Open WebUI looks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_TAG = 100
"""Longest tag, in characters: a longer text is not held back to see whether it becomes one."""

_NAMES = r"(?:\w{1,12}:)?think(?:ing)?|thought|reason(?:ing)?"
_TAG = re.compile(
    rf"(?P<open><(?:{_NAMES})(?:\s[^<>\n]{{0,60}})?>|\[THINK\]|◁think▷"
    r"|<\|(?:start_thinking|begin_of_thought)\|>|<\|channel\|?>(?:analysis<\|message\|>|thought\n))"
    rf"|</(?:{_NAMES})\s?>|\[/THINK\]|◁/think▷"
    r"|<\|(?:end_thinking|end_of_thought)\|>|<channel\|>|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_UNFINISHED_TAG = re.compile(
    rf"(?:<(?:/?[\w:]{{0,24}}|channel\||(?:{_NAMES})\s[^<>\n]*)|<\|[^<\n]*(?:<(?:\|\w*\|?)?)?|\[/?T?H?I?N?K?|◁/?\w*)$",
    re.IGNORECASE,
)
_XML_NAMES = ("<reason", "</reason")
"""Tags that are thinking at the very beginning only: elsewhere they are of an answer in XML."""
_FENCES = ("```", "~~~")
_QUOTES = tuple("\"'“”‘’«(")


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a stream. A `retraction` has no text: all text before it was thinking."""

    kind: Literal["text", "thinking", "retraction"]
    text: str = ""


@dataclass(slots=True)
class ThinkingSplitter:
    """Splits streamed content into thinking and answer.

    An opening tag counts at the beginning of the answer or of a line, but not in code. A closing tag without
    an opening one makes thinking of all text before it.

    Attributes:
        holds_back: the stream begins within the thinking, as an earlier one did: its text is held back until
            a closing tag or the end says what it is.
        closed_alone: a closing tag came without an opening one.
    """

    holds_back: bool = False
    closed_alone: bool = False
    _is_thinking: bool = False
    _has_opened: bool = False
    _has_text: bool = False
    _retracts: bool = False
    _tail: str = ""
    _held: list[str] = field(default_factory=list)
    _line: _Line = field(default_factory=lambda: _Line())

    def feed(self, text: str) -> list[Part]:
        """The parts that `text` completes."""
        text, at = self._tail + text, 0
        parts: list[Part] = []
        while tag := _TAG.search(text, at):
            parts += self._pass(text[at : tag.start()])
            parts += self._pass_tag(tag[0], is_open=tag["open"] is not None)
            at = tag.end()
        unfinished = _UNFINISHED_TAG.search(text, max(at, len(text) - MAX_TAG))
        end = unfinished.start() if unfinished else len(text)
        self._tail = text[end:]
        parts += self._pass(text[at:end])
        return parts

    def end(self, *, is_complete: bool = True) -> list[Part]:
        """The parts that were held back; `is_complete`: the model ended by itself."""
        parts = list(self._pass(self._tail))
        held, self._tail, self._held = "".join(self._held), "", []
        if self._is_thinking:  # a block below other text that never ends was only text
            is_text = is_complete and self._has_text
        else:
            is_text = is_complete or not self.holds_back
        self._is_thinking = False
        return [*parts, Part("text", held)] if held and is_text else parts

    def _pass(self, text: str) -> Iterator[Part]:
        """The parts of `text`, which has no tag in it."""
        if not text:
            return
        if self._is_thinking:
            if self._has_text:
                self._held.append(text)
            yield Part("thinking", text)
        elif self.holds_back or not (self._has_text or text.strip()):
            self._held.append(text)
        else:
            if self._retracts:
                self._retracts = False
                yield Part("retraction")
            blank, self._held = "".join(self._held), []
            text = (
                text
                if self._has_text
                else (blank + text).lstrip()
                if self._has_opened
                else blank + text
            )
            self._has_text = True
            self._line.add(text)
            yield Part("text", text)

    def _pass_tag(self, tag: str, *, is_open: bool) -> Iterator[Part]:
        if self._is_thinking:
            if is_open:
                yield from self._pass(tag)
            else:
                self._is_thinking, self._held = False, []
        elif self.holds_back:
            held, self.holds_back, self._held = "".join(self._held), False, []
            if is_open:
                yield from self._pass(held)
                yield from self._pass_opening(tag)
            else:
                self._has_opened = self.closed_alone = True
                yield Part("thinking", held)
        elif is_open:
            yield from self._pass_opening(tag)
        elif not self._has_text:
            self._has_opened, self._held = True, []
        elif self._has_opened or self._line.is_code or self._line.is_quoting:
            yield from self._pass(tag)
        else:
            self._has_opened = self.closed_alone = self._retracts = True
            self._has_text, self._line = False, _Line()

    def _pass_opening(self, tag: str) -> Iterator[Part]:
        is_xml = self._has_text and tag.lower().startswith(_XML_NAMES)
        if self._has_text and (self._line.is_code or self._line.head or is_xml):
            self._has_opened = self._has_opened or not self._line.is_code
            yield from self._pass(tag)
            return
        self._is_thinking = self._has_opened = True
        self._held = [tag] if self._has_text else []


@dataclass(slots=True)
class _Line:
    """Line of the answer that is being written: in code, and in quotes, tags are only spoken of."""

    head: str = ""
    _ticks: int = 0
    _last: str = ""
    _in_fence: bool = False

    @property
    def is_code(self) -> bool:
        return self._in_fence or self._ticks % 2 == 1 or self.head.startswith(_FENCES)

    @property
    def is_quoting(self) -> bool:
        return self._last.endswith(_QUOTES)

    def add(self, text: str) -> None:
        first, *others = text.split("\n")
        self._extend(first)
        for other in others:
            self._in_fence ^= self.head.startswith(_FENCES)
            self.head, self._ticks, self._last = "", 0, ""
            self._extend(other)

    def _extend(self, text: str) -> None:
        if len(self.head) < 3:
            self.head = (self.head + text).lstrip()[:3]
        self._ticks += text.count("`")
        self._last = text[-1:] or self._last


def reasoning_of(delta: Mapping[str, Any]) -> str:
    """Thinking that an endpoint sends in a field of its own: one of DeepSeek's, OpenRouter's or Mistral's."""
    for name in ("reasoning_content", "reasoning", "reasoning_details", "thinking"):
        if text := _text_of(delta.get(name)):
            return text
    content = delta.get("content")
    if not isinstance(content, list):
        return ""
    return "".join(
        _text_of(block.get(block["type"]) or block)
        for block in content
        if isinstance(block, dict) and block.get("type") in ("thinking", "reasoning")
    )


def _text_of(value: object) -> str:
    """The text of a field: itself, or that of its parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text_of, value))
    if isinstance(value, dict):
        return next(
            (text for key in ("text", "summary", "content") if (text := _text_of(value.get(key)))),
            "",
        )
    return ""
