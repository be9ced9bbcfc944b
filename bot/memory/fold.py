"""Fold of old turns into the summary, piece by piece, with smaller pieces where the model refuses them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from bot.conversation import SessionKey
from bot.errors import AnswerFiltered, ModelError, PromptRefused, PromptTooLong
from bot.memory.summariser import Summariser
from bot.ports import FoldableHistory, FoldState, HistorySnapshot, StoredTurn
from bot.prompt.extract import extend_extract

log = structlog.get_logger("keepthread.compaction")

MAX_TURNS = 500
"""Most turns of one piece."""
MAX_PIECES = 24
"""Most pieces of one fold, those that were refused too; the next fold goes on."""
MIN_SHARE = 1 / 64
"""Smallest part of the prompt's budget that a piece is made for."""
MAX_REFUSED = 3
"""So many refused turns in a row say that the model refuses every summary."""


@dataclass(slots=True)
class Fold:
    """One fold, under way.

    Attributes:
        past: the history as this fold has left it.
        to: number of the first turn that stays in the window.
    """

    history: FoldableHistory
    summariser: Summariser
    session: SessionKey
    past: HistorySnapshot
    to: int
    _share: float = 1.0
    _max_turns: int = MAX_TURNS
    _start: int = 0
    _refused: list[int] = field(default_factory=list)
    _is_overtaken: bool = False

    async def run(self) -> None:
        """Fold all turns before `to`. Raises ModelError, StoreError; `past` then says how far it came."""
        self._share = max(MIN_SHARE, 0.5 ** max(self.past.fold.failures, self.past.fold.halvings))
        self._start = self.past.summarised_to
        error: ModelError | None = None
        for _ in range(MAX_PIECES):
            if self._start >= self.to or self._is_overtaken:
                break
            turns = await self._next_turns()
            if not turns:  # all of them were deleted
                await self._advance(self.past.summary, self.to)
                return
            error = await self._fold_piece(turns)
        if self._refused and self._start >= self.to and isinstance(error, AnswerFiltered):
            await self._advance(self.past.summary, self.to)
        elif error is not None:  # of any other error nobody knows whether it was for the words
            raise error
        elif self.past.summarised_to < self.to:
            await self.keep_extract(FoldState(halvings=self.past.fold.halvings))

    async def keep_extract(self, state: FoldState) -> None:
        """Keep the first words of the turns that are not in the summary, until they are."""
        fold = self.past.fold
        start = max(fold.extracted_to, self.past.summarised_to)
        if start >= self.to and state == replace(fold, extract="", extracted_to=0):
            return
        turns = await self.history.between(self.session, max(start, self.to - MAX_TURNS), self.to)
        extract = extend_extract(
            fold.extract,
            (item.turn for item in turns if item.seq not in self._refused),
            self.summariser.limit_tokens,
        )
        state = replace(state, extract=extract, extracted_to=max(start, self.to))
        await self._write(self.past.summary, self.past.summarised_to, state)

    async def _next_turns(self) -> Sequence[StoredTurn]:
        """The oldest turns that are to be folded and fit into one prompt."""
        end = min(self.to, self._start + self._max_turns)
        turns = await self.history.between(self.session, self._start, end)
        if not turns and end < self.to:
            self._start = end
            return await self._next_turns()
        return self.summariser.fitting(turns, self._share)

    async def _fold_piece(self, turns: Sequence[StoredTurn]) -> ModelError | None:
        """Fold `turns`, or make the next piece smaller; the error that asks for it."""
        try:
            summary = await self.summariser.summarise(
                self.past.summary, turns, self._share, refused=len(self._refused)
            )
        except PromptTooLong as error:
            if self._share <= MIN_SHARE:
                raise
            self._share /= 2
            fold = replace(self.past.fold, halvings=round(-math.log2(self._share)))
            self.past = replace(self.past, fold=fold)
            return error
        except (AnswerFiltered, PromptRefused) as error:
            if len(turns) > 1:
                self._max_turns = len(turns) // 2
                return error
            return await self._fold_refused(turns, error)
        await self._advance(summary, turns[-1].seq + 1)
        return None

    async def _fold_refused(
        self, turns: Sequence[StoredTurn], error: ModelError
    ) -> ModelError | None:
        """Fold a turn that was refused beside the notes: without these, or leave it out."""
        end = turns[-1].seq + 1
        if self.past.summary:
            try:
                summary = await self.summariser.summarise("", turns, self._share)
            except (AnswerFiltered, PromptRefused):
                pass
            else:
                log.warning("summary refused, begun anew", session=str(self.session))
                await self._advance(summary, end)
                return None
        self._refused.append(turns[0].seq)
        self._start = end
        if len(self._refused) > MAX_REFUSED:
            raise error
        log.warning("turn left out of the summary", session=str(self.session), error=repr(error))
        return error

    async def _advance(self, summary: str, to: int) -> None:
        await self._write(summary, to, FoldState(halvings=self.past.fold.halvings))
        self._start, self._refused = to, []
        self._max_turns = min(MAX_TURNS, 2 * self._max_turns)

    async def _write(self, summary: str, to: int, state: FoldState) -> None:
        if await self.history.fold(self.past, self.session, summary=summary, to=to, state=state):
            self.past = replace(self.past, summary=summary, summarised_to=to, fold=state)
        else:
            self._is_overtaken = True
