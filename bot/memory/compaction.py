"""Compaction: folds old turns into a summary in the background, after the reply, within limits."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from bot.background import BackgroundTasks
from bot.conversation import SessionKey
from bot.errors import KeepthreadError
from bot.ports import FoldableHistory, HistorySnapshot, Message, Model, Prompt, StoredTurn
from bot.prompt.builder import FoldRange, PromptBuilder
from bot.prompt.tokens import count_tokens
from bot.prompt.transcript import messages_of, speaker_line

log = structlog.get_logger("keepthread.compaction")

INSTRUCTION = (
    "You keep the notes of a long conversation. Write down, in the conversation's language and in "
    "at most {words} words, all that later messages may need: names, facts, wishes, decisions, open "
    "questions, in order of time. Merge it with the earlier notes, if there are any. "
    "Write the notes only, no introduction."
)
MIN_SUMMARY_WORDS = 30
MAX_SUMMARY_WORDS = 400
TOKENS_PER_WORD = 2
MAX_TURNS_PER_FOLD = 500
SUMMARY_SHARE = 0.1
"""Share of the token budget that a summary may fill."""
TURNS_SHARE = 0.7
"""Share of the token budget for the turns of one fold, counted as they are stored."""
TRANSCRIPT_SHARE = 0.75
"""Share of the token budget for the transcript of these turns."""
MAX_CHARS_PER_TOKEN = 6


@dataclass(slots=True)
class Compactor:
    """Background folds, one at a time for each conversation.

    Attributes:
        summarise: without it old turns are dropped from the prompt (they stay in history).
        timeout_s: limit of one fold; after a failure the next turn tries again.
        max_concurrent: folds at once; more wait.
    """

    history: FoldableHistory
    model: Model
    prompt_builder: PromptBuilder
    summarise: bool = True
    timeout_s: float = 120
    max_concurrent: int = 4
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
        try:
            async with self._slots, asyncio.timeout(self.timeout_s):
                await self._fold(session, past, due)
        except (KeepthreadError, TimeoutError) as error:
            log.warning("history not folded", session=str(session), error=repr(error))
        finally:
            self._folding.discard(session)

    async def _fold(self, session: SessionKey, past: HistorySnapshot, due: FoldRange) -> None:
        if not self.summarise:
            await self.history.fold(past, session, summary="", to=due.to)
            return
        start = max(due.start, due.to - MAX_TURNS_PER_FOLD)
        turns = self._fitting(await self.history.between(session, start, due.to))
        if not turns:  # all of them were deleted
            await self.history.fold(past, session, summary=past.summary, to=due.to)
            return
        summary = await self._summarise(past.summary, turns)
        if summary:
            await self.history.fold(past, session, summary=summary, to=turns[-1].seq + 1)

    def _fitting(self, turns: tuple[StoredTurn, ...]) -> tuple[StoredTurn, ...]:
        """The oldest turns that fit into one prompt, at least one; the others are left to the next fold."""
        room_tokens = int(self.prompt_builder.budget_tokens * TURNS_SHARE)
        end = 0
        while end < len(turns) and (end == 0 or turns[end].tokens <= room_tokens):
            room_tokens -= turns[end].tokens
            end += 1
        return turns[:end]

    async def _summarise(self, earlier: str, turns: tuple[StoredTurn, ...]) -> str:
        """The model's summary of `turns`, merged with the `earlier` one."""
        budget_tokens = self.prompt_builder.budget_tokens
        limit_tokens = int(budget_tokens * SUMMARY_SHARE)
        lines = [
            speaker_line(message.role, message.text)
            for item in turns
            for message in messages_of(item.turn)
        ]
        text = _shorten("\n".join(lines), int(budget_tokens * TRANSCRIPT_SHARE))
        if earlier:
            text = f"Earlier notes:\n{earlier}\n\nConversation since:\n{text}"
        words = max(MIN_SUMMARY_WORDS, min(MAX_SUMMARY_WORDS, limit_tokens // TOKENS_PER_WORD))
        prompt = Prompt(
            (Message("system", INSTRUCTION.format(words=words)), Message("user", text)),
            tokens=count_tokens(text),
        )
        async with aclosing(self.model.stream(prompt)) as stream:
            deltas = [delta.text async for delta in stream]
        return _shorten("".join(deltas).strip(), limit_tokens)


def _shorten(text: str, limit_tokens: int) -> str:
    """`text`, cut at a line or sentence if it is longer than `limit_tokens`."""
    text = text[: (limit_tokens + 1) * MAX_CHARS_PER_TOKEN]
    while (tokens := count_tokens(text)) > limit_tokens:
        keep = min(int(len(text) * limit_tokens / tokens), len(text) - 1)
        cut = max(text.rfind("\n", 0, keep), text.rfind(". ", 0, keep))
        text = text[: cut if cut > keep // 2 else keep].rstrip()
    return text
