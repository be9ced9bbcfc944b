"""Schedules background folds of old turns into a summary (`bot/memory/fold.py` folds), with backoff."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from bot.background import BackgroundTasks
from bot.conversation import SessionKey
from bot.errors import KeepthreadError, StoreError
from bot.memory.fold import Fold
from bot.memory.summariser import Summariser
from bot.ports import FoldableHistory, FoldState, HistorySnapshot, KeyValueStore, Model
from bot.prompt.builder import FoldRange, PromptBuilder

log = structlog.get_logger("keepthread.compaction")

FIRST_BACKOFF_S = 30
MAX_BACKOFF_S = 3_600
FAILURE_NOTE = "summary-failed"
"""Name of the note of the last failure, for `keepthread doctor`."""
FAILURE_NOTE_TTL_S = 86_400

OnOutcome = Callable[[str], None]
"""Callback with the outcome of a fold: `summarised`, `dropped` or `failed`."""


@dataclass(slots=True)
class Compactor:
    """Background folds, one at a time for each conversation.

    After a failure the turns are kept as an extract, and the next fold tries again, in smaller pieces;
    after several it waits longer and longer before that.

    Attributes:
        summarise: without it old turns are dropped from the prompt (they stay in history).
        timeout_s: limit of one fold.
        max_concurrent: folds at once; more wait.
        key_values: store of the note for `keepthread doctor`.
        on_outcome: called after each fold.
        now_s: the time, in seconds since 1970.
    """

    history: FoldableHistory
    model: Model
    prompt_builder: PromptBuilder
    summarise: bool = True
    timeout_s: float = 120
    max_concurrent: int = 4
    key_values: KeyValueStore | None = None
    on_outcome: OnOutcome = lambda outcome: None
    now_s: Callable[[], float] = time.time
    _folding: set[SessionKey] = field(default_factory=set, init=False)
    _tasks: BackgroundTasks = field(default_factory=BackgroundTasks, init=False)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.max_concurrent)

    def schedule(self, session: SessionKey, past: HistorySnapshot) -> None:
        """Start a fold if one is due and none is running. Returns at once."""
        due = self.prompt_builder.fold_due(past)
        if due is None or session in self._folding:
            return
        if self._tasks.add(f"fold {session}", self._run(session, past, due)):
            self._folding.add(session)

    async def wait_idle(self) -> None:
        """Wait until all running folds have ended."""
        await self._tasks.join()

    async def aclose(self, *, grace_s: float = 0) -> None:
        """Cancel the folds that run longer than `grace_s`; their turns stay as they were."""
        await self._tasks.aclose(grace_s=grace_s)

    async def _run(self, session: SessionKey, past: HistorySnapshot, due: FoldRange) -> None:
        summariser = Summariser(self.model, self.prompt_builder)
        fold = Fold(self.history, summariser, session, past, due.to)
        try:
            async with self._slots:
                if not self.summarise:
                    await self.history.fold(past, session, summary="", to=due.to)
                    self.on_outcome("dropped")
                elif past.fold.retry_at > self.now_s():
                    await fold.keep_extract(replace(past.fold, extract="", extracted_to=0))
                else:
                    await self._fold(fold)
        finally:
            self._folding.discard(session)

    async def _fold(self, fold: Fold) -> None:
        try:
            async with asyncio.timeout(self.timeout_s):
                await fold.run()
        except (KeepthreadError, TimeoutError) as error:
            failures = fold.past.fold.failures + 1
            log.warning(
                "history not folded",
                session=str(fold.session),
                error=repr(error),
                failures=failures,
            )
            self.on_outcome("failed")
            if not isinstance(error, StoreError):
                wait_s = _backoff_s(failures)
                retry_at = int(self.now_s() + wait_s) if wait_s else 0
                halvings = fold.past.fold.halvings
                await fold.keep_extract(
                    FoldState(failures=failures, retry_at=retry_at, halvings=halvings)
                )
                await self._note_failure(error, failures)
        else:
            self.on_outcome("summarised")

    async def _note_failure(self, error: Exception, failures: int) -> None:
        if self.key_values is not None:
            cure = error.cure if isinstance(error, KeepthreadError) else ""
            note = {
                "at": int(self.now_s()),
                "error": repr(error),
                "cure": cure,
                "failures": failures,
            }
            await self.key_values.set(FAILURE_NOTE, json.dumps(note), ttl_s=FAILURE_NOTE_TTL_S)


def _backoff_s(failures: int) -> float:
    """Wait before the next try; the first failure may be a passing one."""
    if failures < 2:
        return 0
    return float(min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(failures - 2, 10)))
