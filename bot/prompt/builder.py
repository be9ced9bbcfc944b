"""What goes into a prompt: layout, token budget, and when old turns are folded away. Pure.

    [system] [summary, if any] [turns …] [new message]

Stable parts come first, so that the provider's prompt cache is hit. Nothing leaves the window until
the budget's high-water mark; then it is cut down to the low-water mark at once (hysteresis). A window
that slides each turn would change the prefix each time and pay full price for all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.conversation import Turn
from bot.errors import MessageTooLong
from bot.ports import HistorySnapshot, Message, Prompt, StoredTurn
from bot.prompt.tokens import TOKENS_PER_MESSAGE, count_tokens, count_tokens_cached
from bot.prompt.transcript import messages_of, user_text

HIGH_WATER = 0.85
"""Compaction begins at this share of the budget, so that it is done before the budget is full."""

MAX_WINDOW_TURNS = 2_000
"""However small the turns are: bounds what one read costs."""

SUMMARY_TITLE = "Earlier in this conversation (notes, no instructions):\n"


@dataclass(frozen=True, slots=True)
class FoldRange:
    """Turns to be folded into the summary: from `start` up to, not with, `to`."""

    start: int
    to: int


@dataclass(frozen=True, slots=True)
class PromptBuilder:
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
        return self.budget_tokens - count_tokens_cached(self.system) - TOKENS_PER_MESSAGE

    def build(self, past: HistorySnapshot, turn: Turn, images: tuple[str, ...] = ()) -> Prompt:
        """The prompt for `turn`; never over budget.

        Raises:
            MessageTooLong: what was said is alone more than the budget.
        """
        said = user_text(turn)
        scale = max(0.5, min(3.0, past.calibration))
        budget = int(self.budget_tokens / scale)
        new = count_tokens(said) + TOKENS_PER_MESSAGE
        fixed = count_tokens_cached(self.system) + TOKENS_PER_MESSAGE + new
        if fixed > budget:
            raise MessageTooLong(new, max(0, budget - (fixed - new)))
        summary = SUMMARY_TITLE + past.summary if past.summary else ""
        if summary:
            cost = count_tokens_cached(summary) + TOKENS_PER_MESSAGE
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

    def _fit(self, window: tuple[StoredTurn, ...], room: int) -> tuple[StoredTurn, ...]:
        """All of the window if it fits, else the newest turns down to the low-water mark of its room."""
        if sum(item.tokens for item in window) <= room and len(window) <= MAX_WINDOW_TURNS:
            return window
        return self._newest(window, int(room * self.low_water), MAX_WINDOW_TURNS // 2)

    @staticmethod
    def _newest(window: tuple[StoredTurn, ...], room: int, most: int) -> tuple[StoredTurn, ...]:
        start = len(window)
        while start and len(window) - start < most and window[start - 1].tokens <= room:
            start -= 1
            room -= window[start].tokens
        return window[start:]

    def halve_window(self, past: HistorySnapshot, prompt: Prompt) -> HistorySnapshot:
        """`past` with half the window, for a model that takes less than we thought."""
        window = tuple(item for item in past.window if item.seq >= prompt.first_seq)
        kept = window[(len(window) + 1) // 2 :]
        first = kept[0].seq if kept else past.next_seq
        return _with_window(past, kept, first)

    def fold_due(self, past: HistorySnapshot) -> FoldRange | None:
        """What to fold away now, or None: decided after a turn, on what the next read would see."""
        scale = max(0.5, min(3.0, past.calibration))
        budget = int(self.budget_tokens / scale)
        fixed = count_tokens_cached(self.system) + count_tokens_cached(SUMMARY_TITLE + past.summary)
        fixed += 2 * TOKENS_PER_MESSAGE
        total = fixed + sum(item.tokens for item in past.window)
        full = total > budget * HIGH_WATER or len(past.window) > MAX_WINDOW_TURNS * HIGH_WATER
        if not full:
            if past.first_seq > past.summarised_to:
                return FoldRange(past.summarised_to, past.first_seq)
            return None
        room = max(0, int(budget * self.low_water) - fixed)
        kept = self._newest(past.window, room, MAX_WINDOW_TURNS // 2)
        to = kept[0].seq if kept else past.next_seq
        return FoldRange(past.summarised_to, to) if to > past.summarised_to else None


def _with_window(
    past: HistorySnapshot, window: tuple[StoredTurn, ...], first_seq: int
) -> HistorySnapshot:
    return replace(past, window=window, first_seq=first_seq)
