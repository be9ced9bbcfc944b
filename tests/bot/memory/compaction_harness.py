"""Compaction harness: a compactor on real memory and a model server, and talks that are due to be folded."""

from __future__ import annotations

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.memory.compaction import Compactor
from bot.memory.history import RedisHistory
from bot.ports import HistorySnapshot, TurnWrite
from bot.prompt.builder import PromptBuilder
from bot.prompt.transcript import tokens_of

KEY = SessionKey("slack", "T1", "C1", "1.2")
CONTEXT = PromptBuilder("Be kind.", 1000, 0.5)


async def talk(
    history: RedisHistory,
    turns: int = 28,
    words: int = 20,
    word: str = "tea",
    session: SessionKey = KEY,
) -> HistorySnapshot:
    """A window that is due to be folded, if it is not made shorter."""
    past = await history.read(session)
    for number in range(past.next_seq, past.next_seq + turns):
        question = Incoming(
            Address(session), Speaker("U1"), f"{number} " + f"{word} " * words, f"m-{number}"
        )
        turn = Turn(f"t-{number}", (question,)).ended(
            "complete", f"answer {number}", generation=past.generation
        )
        await history.append(TurnWrite(turn, tokens=tokens_of(turn)))
    return await history.read(session)


async def fold(compactor: Compactor, past: HistorySnapshot) -> HistorySnapshot:
    """The history after a fold."""
    compactor.schedule(KEY, past)
    await compactor.wait_idle()
    return await compactor.history.read(KEY)
