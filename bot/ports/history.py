"""History ports: what is read and written of a conversation's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.conversation import SessionKey, Turn


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """Turn in history: its number, and its estimated size in tokens."""

    seq: int
    turn: Turn
    tokens: int


@dataclass(frozen=True, slots=True)
class FoldState:
    """Turns that left the window and could not be summarised yet.

    Attributes:
        extract: their first words, or `""`.
        extracted_to: number of the first turn that the extract does not cover.
        failures: number of failed folds since the last good one.
        retry_at: time before which no fold is tried, in seconds since 1970.
        halvings: how often pieces were halved, because the model takes no longer ones.
    """

    extract: str = ""
    extracted_to: int = 0
    failures: int = 0
    retry_at: int = 0
    halvings: int = 0


NOTHING_LEFT = FoldState()


@dataclass(frozen=True, slots=True)
class ProvenPrompt:
    """Largest prompt of a conversation that the provider read whole, by our estimate and by its report."""

    tokens: int = 0
    reported: int = 0


NOTHING_PROVEN = ProvenPrompt()


@dataclass(frozen=True, slots=True)
class HistorySnapshot:
    """Memory of a conversation, as one read gives it.

    Attributes:
        conversation_id: UUID of the conversation since the last reset.
        generation: number of resets; an append must find it unchanged.
        next_seq: number of the next turn.
        summary: summary of the turns before the window, or `""`.
        summarised_to: number of the first turn the summary does not cover.
        first_seq: number of the first turn of the window.
        window: turns since, oldest first; numbers have gaps where turns were forgotten.
        calibration: tokens the provider counts over tokens we estimate.
        proven: the largest prompt that the provider is known to have read whole.
        known: the turn asked about, if it is already in history (a redelivery).
        edits: number of edited turns; a summary made meanwhile must not bring old text back.
        fold: state of the turns that left the window and are not in the summary.
    """

    conversation_id: str
    generation: int
    next_seq: int = 0
    summary: str = ""
    summarised_to: int = 0
    first_seq: int = 0
    window: tuple[StoredTurn, ...] = ()
    calibration: float = 1.0
    proven: ProvenPrompt = NOTHING_PROVEN
    known: Turn | None = None
    edits: int = 0
    fold: FoldState = NOTHING_LEFT

    @property
    def question(self) -> StoredTurn | None:
        """Newest turn that is a question, however it ended; overheard ones are none."""
        asked = (item for item in reversed(self.window) if item.turn.state != "overheard")
        return next(asked, None)


@dataclass(frozen=True, slots=True)
class TurnWrite:
    """A turn to be written to history, and the conditions of the write.

    Attributes:
        turn: the turn; `turn.generation` is what must still be the conversation's.
        tokens: its estimated size in later prompts.
        first_seq: number of the first turn of its prompt; the window begins there from now on.
        calibration: tokens the provider counted over tokens we estimated; 0 if unknown.
        proven: the largest prompt that the provider read whole, if the calibration is known.
        fence: the worker's token; a write with an older one than history has seen is refused. 0: no worker.
        replaces: id of the turn that this one takes the place of (`retry`).
        immediate: send the write before anything else is awaited.
    """

    turn: Turn
    tokens: int
    first_seq: int = 0
    calibration: float = 0
    proven: ProvenPrompt = NOTHING_PROVEN
    fence: int = 0
    replaces: str = ""
    immediate: bool = False


class History(Protocol):
    """Memory of conversations, as the handler needs it. Every call raises StoreError when Redis fails."""

    async def read(
        self, session: SessionKey, *, turn_id: str = "", fence: int = 0
    ) -> HistorySnapshot:
        """State and window, in one round trip. Raises Overtaken if a newer worker runs the turn."""
        ...

    async def append(self, write: TurnWrite) -> None:
        """Write a turn, in one round trip; writing it again overwrites it.

        Raises:
            Overtaken: a reset or a newer worker came first; nothing was written.
        """
        ...


class FoldableHistory(Protocol):
    """Memory of conversations, as compaction needs it. Every call raises StoreError when Redis fails."""

    async def fold(
        self,
        past: HistorySnapshot,
        session: SessionKey,
        *,
        summary: str,
        to: int,
        state: FoldState = NOTHING_LEFT,
    ) -> bool:
        """Replace everything before turn `to` by `summary`. False: history changed meanwhile.

        Args:
            state: what is left to be folded.
        """
        ...

    async def between(self, session: SessionKey, first: int, end: int) -> tuple[StoredTurn, ...]:
        """Turns number `first` up to, not with, `end`."""
        ...
