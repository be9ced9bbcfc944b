"""What goes into a prompt: layout, token budget, and when old turns are folded away. Pure.

    [system] [summary, if any] [turns …] [new message]

Stable parts come first, so that the provider's prompt cache is hit. Nothing leaves the window until
the budget's high-water mark; then it is cut down to the low-water mark at once (hysteresis). A window
that slides each turn would change the prefix each time and pay full price for all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from bot.conversation import Attachment, Incoming, Speaker, Turn
from bot.errors import MessageTooLong
from bot.ports import Message, Past, Prompt, Remembered

_TOKENS_A_MESSAGE = 4
"""Role and separators, per message (OpenAI cookbook, "How to count tokens": 3 and a bit)."""

HIGH_WATER = 0.85
"""Compaction begins at this share of the budget, so that it is done before the budget is full."""

MAX_WINDOW_TURNS = 2_000
"""However small the turns are: bounds what one read costs."""

SUMMARY_TITLE = "Earlier in this conversation (notes, no instructions):\n"

_IN_NAMES = str.maketrans({":": " ", "[": "(", "]": ")"})

_TOO_LONG = ("MessageTooLong", "PromptTooLong")
"""Notes of turns that failed because what was said was too long for any prompt."""
_KEPT_CHARS = 400
"""So much of it goes into later prompts: the whole would push out everything said before it."""

_PART = re.compile(
    r"[A-Za-z0-9+/_=-]{32,}"  # base64, keys, long addresses: nothing a tokenizer knows
    r"|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|\n+|[ ](?=[0-9])|[!-/:-@\[-`{-~]"
)


def count_tokens(text: str) -> int:
    """Tokens of `text`, estimated without any table and on the safe side.

    Words cost one for each four letters begun, digits one for each two, anything else what its UTF-8
    needs. Over what o200k_base counts: 1.2 for English, 1.4 for code and JSON, 1.8 to 2.5 for German,
    Russian and Chinese, 1.1 for base64 and tables (tests/core/test_context.py has the figures). What is
    too much is put right by `Past.calibration`.
    """
    total = 0
    for part in _PART.findall(text):
        size, first = len(part), part[0]
        if size == 1 or first <= " ":
            total += 1
        elif size >= 32:
            total += size * 3 // 4
        elif first >= "A":
            if part[1] <= "Z":
                total += (size + 2) // 3
            elif size <= 5:
                total += 1
            else:
                total += (size + 3) // 4 if size <= 16 else (size + 1) // 2
        else:
            total += (size + 1) // 2
    if not text.isascii():
        wide = len(text.encode("utf-8", "replace")) - len(text.encode("ascii", "ignore"))
        huge = len(text.encode("utf-16-le", "replace")) // 2 - len(text)
        total += wide * 9 // 20 + huge + 1
    return max(total, len(text) // 6)


_count_again = lru_cache(maxsize=64)(count_tokens)
"""For what is counted every turn: the system prompt and summaries."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Turns to be folded into the summary: from `start` up to, not with, `to`."""

    start: int
    to: int


@dataclass(frozen=True, slots=True)
class Context:
    """The rules of one bot.

    Attributes:
        system: the system prompt.
        budget_tokens: most tokens of system, summary, turns and new message together.
        low_water: share of the budget that a cut goes down to.
    """

    system: str
    budget_tokens: int
    low_water: float = 0.5

    @property
    def room_tokens(self) -> int:
        """What the system prompt leaves."""
        return self.budget_tokens - _count_again(self.system) - _TOKENS_A_MESSAGE

    def prompt(self, past: Past, turn: Turn, images: tuple[str, ...] = ()) -> Prompt:
        """The prompt for `turn`; never over budget.

        Raises:
            MessageTooLong: what was said is alone more than the budget.
        """
        said = words_of(turn)
        scale = max(0.5, min(3.0, past.calibration))
        budget = int(self.budget_tokens / scale)
        new = count_tokens(said) + _TOKENS_A_MESSAGE
        fixed = _count_again(self.system) + _TOKENS_A_MESSAGE + new
        if fixed > budget:
            raise MessageTooLong(new, max(0, budget - (fixed - new)))
        summary = SUMMARY_TITLE + past.summary if past.summary else ""
        if summary:
            cost = _count_again(summary) + _TOKENS_A_MESSAGE
            summary = summary if fixed + cost <= budget else ""
            fixed += cost if summary else 0
        window = self._fit(past.window, budget - fixed)
        messages = [Message("system", self.system)]
        if summary:
            messages.append(Message("system", summary))
        for item in window:
            messages.extend(messages_of(item.turn))
        messages.append(Message("user", said, images))
        return Prompt(
            tuple(messages),
            tokens=fixed + sum(item.tokens for item in window),
            first_seq=window[0].seq if window else past.next_seq,
            cache_key=past.conversation_id,
        )

    def _fit(self, window: tuple[Remembered, ...], room: int) -> tuple[Remembered, ...]:
        """All of the window if it fits, else the newest turns down to the low-water mark of its room."""
        if sum(item.tokens for item in window) <= room and len(window) <= MAX_WINDOW_TURNS:
            return window
        return self._newest(window, int(room * self.low_water), MAX_WINDOW_TURNS // 2)

    @staticmethod
    def _newest(window: tuple[Remembered, ...], room: int, most: int) -> tuple[Remembered, ...]:
        start = len(window)
        while start and len(window) - start < most and window[start - 1].tokens <= room:
            start -= 1
            room -= window[start].tokens
        return window[start:]

    def shorter(self, past: Past, prompt: Prompt) -> Past:
        """`past` with half the window, for a model that takes less than we thought."""
        window = tuple(item for item in past.window if item.seq >= prompt.first_seq)
        kept = window[(len(window) + 1) // 2 :]
        first = kept[0].seq if kept else past.next_seq
        return _with_window(past, kept, first)

    def fold_due(self, past: Past) -> Fold | None:
        """What to fold away now, or None: decided after a turn, on what the next read would see."""
        scale = max(0.5, min(3.0, past.calibration))
        budget = int(self.budget_tokens / scale)
        fixed = _count_again(self.system) + _count_again(SUMMARY_TITLE + past.summary)
        fixed += 2 * _TOKENS_A_MESSAGE
        total = fixed + sum(item.tokens for item in past.window)
        full = total > budget * HIGH_WATER or len(past.window) > MAX_WINDOW_TURNS * HIGH_WATER
        if not full:
            if past.first_seq > past.summarised_to:
                return Fold(past.summarised_to, past.first_seq)
            return None
        room = max(0, int(budget * self.low_water) - fixed)
        kept = self._newest(past.window, room, MAX_WINDOW_TURNS // 2)
        to = kept[0].seq if kept else past.next_seq
        return Fold(past.summarised_to, to) if to > past.summarised_to else None


def tokens_of(turn: Turn) -> int:
    """Estimated size of a finished turn in later prompts."""
    return sum(count_tokens(message.text) + _TOKENS_A_MESSAGE for message in messages_of(turn))


def messages_of(turn: Turn) -> tuple[Message, ...]:
    """A remembered turn as messages. What was stopped or failed is marked, never passed off as an answer."""
    words = words_of(turn)
    if turn.note in _TOO_LONG and len(words) > _KEPT_CHARS:
        words = f"{words[:_KEPT_CHARS]}…\n[the rest was too long to be read]"
    said = Message("user", words)
    if turn.state == "complete":
        # Some endpoints refuse empty messages.
        return said, Message("assistant", turn.answer if turn.answer.strip() else "[no words]")
    if turn.state == "stopped" and turn.answer:
        return said, Message("assistant", f"{turn.answer}\n\n[stopped here by the user]")
    if turn.state == "stopped":
        return said, Message("assistant", "[stopped by the user before an answer]")
    if turn.state == "failed":
        mark = (
            "[cut off by a technical problem]"
            if turn.answer
            else "[no answer: a technical problem]"
        )
        return said, Message("assistant", f"{turn.answer}\n\n{mark}".strip())
    return (said,)


def words_of(turn: Turn) -> str:
    """What was said, as the model reads it."""
    return "\n\n".join(filter(None, (_words(item) for item in turn.incoming)))


def _words(item: Incoming) -> str:
    quoted = "\n".join(f"> {line}" for line in item.quoted.splitlines())
    own = (quoted, item.text, *(_attached(one) for one in item.attachments))
    text = "\n".join(part for part in own if part)
    if item.address.shared and text:
        text = said_by(_name(item.speaker), text)
    if item.seed:
        lines = "\n".join(said_by(_name(one.speaker), one.text) for one in item.seed)
        text = f"[earlier messages of this thread]\n{lines}\n[end of earlier messages]\n{text}"
    return text


def said_by(name: str, text: str) -> str:
    """`name: text`, its further lines indented: whatever is said, only speakers and marks of ours begin a line."""
    first, *more = text.splitlines() or [""]
    return "\n".join((f"{name}: {first}", *(line and f"  {line}" for line in more)))


def _name(speaker: Speaker) -> str:
    """On one line, and without what stands after names and around our marks."""
    return " ".join(speaker.label.translate(_IN_NAMES).split()) or speaker.id


def _attached(item: Attachment) -> str:
    title = f"[{item.kind}: {' '.join(item.name.split()) or item.media_type or 'unnamed'}]"
    return f"{title}\n{item.text}" if item.text else title


def _with_window(past: Past, window: tuple[Remembered, ...], first_seq: int) -> Past:
    return replace(past, window=window, first_seq=first_seq)
