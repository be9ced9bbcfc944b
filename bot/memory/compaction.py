"""Folding old turns into a summary, after the reply: bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from bot.background import cancel_all
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
MAX_TURNS_A_FOLD = 500
RESERVED_SHARE = 0.1
"""Share of the budget a summary may fill."""


@dataclass(slots=True)
class Compactor:
    """Folds in the background, one task a conversation.

    Attributes:
        summarise: without it old turns are dropped from the prompt (they stay in history).
        timeout_s: a summary that takes longer is given up; the next turn tries again.
    """

    history: FoldableHistory
    model: Model
    context: PromptBuilder
    summarise: bool = True
    timeout_s: float = 120
    max_concurrent: int = 4
    _running: dict[SessionKey, asyncio.Task[None]] = field(default_factory=dict)
    _slots: asyncio.Semaphore | None = None

    def schedule(self, session: SessionKey, past: HistorySnapshot) -> None:
        """Begin to fold if it is due and not being done. Returns at once."""
        due = self.context.fold_due(past)
        if due is None or session in self._running:
            return
        task = asyncio.create_task(self._run(session, past, due), name=f"fold {session}")
        self._running[session] = task
        task.add_done_callback(lambda _: self._running.pop(session, None))

    async def settle(self) -> None:
        """Wait until what was begun has ended."""
        while self._running:
            await asyncio.wait(set(self._running.values()))

    async def aclose(self, patience_s: float = 0) -> None:
        """Cancel what still runs after `patience_s`; the original stays as it was."""
        tasks = set(self._running.values())
        if tasks and patience_s:
            await asyncio.wait(tasks, timeout=patience_s)
        await cancel_all(tasks)

    async def _run(self, session: SessionKey, past: HistorySnapshot, due: FoldRange) -> None:
        if self._slots is None:
            self._slots = asyncio.Semaphore(self.max_concurrent)
        try:
            async with self._slots, asyncio.timeout(self.timeout_s):
                if not self.summarise:
                    await self.history.fold(past, session, summary="", to=due.to)
                    return
                start = max(due.start, due.to - MAX_TURNS_A_FOLD)
                turns = await self.history.between(session, start, due.to)
                turns = self._affordable(turns)
                if not turns:  # all of them were forgotten
                    await self.history.fold(past, session, summary=past.summary, to=due.to)
                    return
                summary = await self._summary(past.summary, turns)
                if summary:
                    await self.history.fold(past, session, summary=summary, to=turns[-1].seq + 1)
        except (KeepthreadError, TimeoutError) as error:
            log.warning("history not folded", session=str(session), error=repr(error))

    def _affordable(self, turns: tuple[StoredTurn, ...]) -> tuple[StoredTurn, ...]:
        """As many of the oldest as one prompt takes, and at least one; the rest waits for its turn."""
        room = int(self.context.budget_tokens * 0.7)
        end = 0
        while end < len(turns) and (end == 0 or turns[end].tokens <= room):
            room -= turns[end].tokens
            end += 1
        return turns[:end]

    async def _summary(self, earlier: str, turns: tuple[StoredTurn, ...]) -> str:
        limit_tokens = int(self.context.budget_tokens * RESERVED_SHARE)
        lines = [
            speaker_line(message.role, message.text)
            for item in turns
            for message in messages_of(item.turn)
        ]
        text = _shortened("\n".join(lines), int(self.context.budget_tokens * 0.75))
        if earlier:
            text = f"Earlier notes:\n{earlier}\n\nConversation since:\n{text}"
        words = max(30, min(400, limit_tokens // 2))
        prompt = Prompt(
            (Message("system", INSTRUCTION.format(words=words)), Message("user", text)),
            tokens=count_tokens(text),
        )
        async with aclosing(self.model.stream(prompt)) as stream:
            pieces = [piece.text async for piece in stream]
        return _shortened("".join(pieces).strip(), limit_tokens)


def _shortened(text: str, limit_tokens: int) -> str:
    """`text`, cut at a line or sentence where it is longer than that."""
    text = text[: limit_tokens * 6 + 6]  # more than any count of so many tokens
    while (tokens := count_tokens(text)) > limit_tokens:
        keep = min(int(len(text) * limit_tokens / tokens), len(text) - 1)
        cut = max(text.rfind("\n", 0, keep), text.rfind(". ", 0, keep))
        text = text[: cut if cut > keep // 2 else keep].rstrip()
    return text
