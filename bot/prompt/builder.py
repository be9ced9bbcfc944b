"""Prompt builder: layout, token budget, and the decision when old turns are folded. Pure.

    [system] [turns …] [new message]

There is one system message at most, and the roles after it alternate, beginning and ending with the
user's: many chat templates refuse anything else. The summary is quoted at the beginning of the first
user message, overheard messages stand in the next one.

Stable parts come first, so that the provider's prompt cache is hit. Nothing leaves the window until
the budget's high-water mark; then it is cut down to the low-water mark at once (hysteresis). A window
that slides each turn would change the prefix each time and pay full price for all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.conversation import Turn
from bot.errors import MessageTooLong
from bot.ports import HistorySnapshot, Message, Prompt, StoredTurn
from bot.ports.history import NOTHING_LEFT
from bot.prompt.calibration import calibrated_budget
from bot.prompt.tokens import TOKENS_PER_MESSAGE, count_tokens, count_tokens_cached
from bot.prompt.transcript import alternating, messages_of, notes_text, question_text

HIGH_WATER = 0.85
"""Share of the budget at which compaction begins, so that it ends before the budget is full."""

MAX_WINDOW_TURNS = 2_000
"""Limit for any size of turns: bounds the cost of a read."""


@dataclass(frozen=True, slots=True)
class FoldRange:
    """Range of turns to be folded into the summary; `to` is not in it."""

    start: int
    to: int


@dataclass(frozen=True, slots=True)
class PromptBuilder:
    """Builder of prompts, with the system prompt and the token budget of one bot.

    Attributes:
        system: the system prompt.
        budget_tokens: limit of system prompt, summary, turns and new message together.
        low_water: share of the budget that a cut leaves.
    """

    system: str
    budget_tokens: int
    low_water: float = 0.5

    @property
    def room_tokens(self) -> int:
        """Tokens that the system prompt leaves."""
        return self.budget_tokens - self._system_tokens

    def build(self, past: HistorySnapshot, turn: Turn, images: tuple[str, ...] = ()) -> Prompt:
        """The prompt for `turn`; never over budget.

        Raises:
            MessageTooLong: the new message alone is over the budget.
        """
        question = question_text(turn)
        budget = calibrated_budget(self.budget_tokens, past)
        new = count_tokens(question) + TOKENS_PER_MESSAGE
        fixed = self._system_tokens + new
        if fixed > budget:
            raise MessageTooLong(new, max(0, budget - (fixed - new)))
        room = budget - fixed
        notes, notes_tokens, window = self._fit_past(past, room, with_extract=False)
        first_seq = window[0].seq if window else past.next_seq
        if past.fold.extract and first_seq > past.summarised_to:
            notes, notes_tokens, window = self._fit_past(past, room, with_extract=True)
        messages = [Message("system", self.system)] if self.system.strip() else []
        if notes:
            messages.append(Message("user", notes))
        for item in window:
            messages.extend(messages_of(item.turn))
        messages.append(Message("user", question, images))
        return Prompt(
            alternating(messages),
            tokens=fixed + notes_tokens + sum(item.tokens for item in window),
            first_seq=window[0].seq if window else past.next_seq,
            cache_key=past.conversation_id,
        )

    @property
    def _system_tokens(self) -> int:
        return count_tokens_cached(self.system) + TOKENS_PER_MESSAGE

    def _fit_past(
        self, past: HistorySnapshot, room: int, *, with_extract: bool
    ) -> tuple[str, int, tuple[StoredTurn, ...]]:
        """Notes, their size, and the window, which fit into `room` tokens together."""
        extract = past.fold.extract if with_extract else ""
        notes = notes_text(past.summary, extract)
        tokens = _notes_tokens(notes)
        if tokens > room:
            notes, tokens = "", 0
        return notes, tokens, self._fit(past.window, room - tokens)

    def _fit(self, window: tuple[StoredTurn, ...], room: int) -> tuple[StoredTurn, ...]:
        """The window if it fits into `room` tokens, else its newest turns down to the low-water mark."""
        if sum(item.tokens for item in window) <= room and len(window) <= MAX_WINDOW_TURNS:
            return window
        return self._newest(window, int(room * self.low_water), MAX_WINDOW_TURNS // 2)

    @staticmethod
    def _newest(
        window: tuple[StoredTurn, ...], room: int, max_turns: int
    ) -> tuple[StoredTurn, ...]:
        """The newest turns that fit into `room` tokens, at most `max_turns`."""
        start = len(window)
        while start and len(window) - start < max_turns and window[start - 1].tokens <= room:
            start -= 1
            room -= window[start].tokens
        return window[start:]

    def halve_window(self, past: HistorySnapshot, prompt: Prompt) -> HistorySnapshot:
        """`past` with half the window, for a model that refused the prompt as too long."""
        window = tuple(item for item in past.window if item.seq >= prompt.first_seq)
        kept = window[(len(window) + 1) // 2 :]
        first_seq = kept[0].seq if kept else past.next_seq
        return replace(past, window=kept, first_seq=first_seq)

    @staticmethod
    def without_past(past: HistorySnapshot) -> HistorySnapshot:
        """`past` with neither window nor notes, for a model that refused the words of the prompt."""
        return replace(past, window=(), summary="", first_seq=past.next_seq, fold=NOTHING_LEFT)

    def fold_due(self, past: HistorySnapshot) -> FoldRange | None:
        """The turns to fold now, or None; decided after a turn, on the history that the next turn will read."""
        budget = calibrated_budget(self.budget_tokens, past)
        has_gap = past.first_seq > past.summarised_to
        notes = notes_text(past.summary, past.fold.extract if has_gap else "")
        fixed = self._system_tokens + _notes_tokens(notes) + TOKENS_PER_MESSAGE
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


def _notes_tokens(notes: str) -> int:
    return count_tokens_cached(notes) + TOKENS_PER_MESSAGE if notes else 0
