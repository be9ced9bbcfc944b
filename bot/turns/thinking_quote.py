"""Quote of the model's thinking above its answer (`BOT_SHOW_THINKING`). It is shown, never remembered."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.ports import AnswerDelta

MAX_CHARS = 1_200
"""Length to which thinking is cut: a person wants its drift, and platforms limit a message."""


@dataclass(slots=True)
class ThinkingQuote:
    """Markdown quote that grows with the thinking.

    Attributes:
        parts: the Markdown so far; the answer follows it.
    """

    parts: list[str] = field(default_factory=list)
    _chars: int = 0
    _has_ended: bool = False

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def extend(self, delta: AnswerDelta) -> str:
        """The Markdown that `delta` adds above the answer; `""` once the answer has begun."""
        if self._has_ended:
            return ""
        added = self._quote(delta.thinking)
        if delta.text:
            self._has_ended = True
            added += "\n\n" if self.parts or added else ""
        if added:
            self.parts.append(added)
        return added

    def _quote(self, thinking: str) -> str:
        if self._chars >= MAX_CHARS or not (thinking.strip() or self.parts):
            return ""
        text = thinking[: MAX_CHARS - self._chars].replace("\r", "")
        self._chars += len(text)
        quoted = (text if self.parts else text.lstrip()).replace("\n", "\n> ")
        if not self.parts:
            quoted = f"> _Thinking:_ {quoted}"
        return quoted + ("…" if self._chars >= MAX_CHARS else "")
