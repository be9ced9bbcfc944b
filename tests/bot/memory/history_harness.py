"""History harness: turns of one conversation, written and read."""

from __future__ import annotations

from typing import Any

from bot.conversation import Incoming, SessionKey, Turn
from bot.memory.history import RedisHistory
from bot.ports import HistorySnapshot, TurnWrite
from bot.prompt.transcript import tokens_of
from tests.support.messages import make_message

KEY = SessionKey("slack", "T1", "C1", "1.2")
TTL_S = 24 * 3600


def make_turn(
    name: str, past: HistorySnapshot | None = None, *more: Incoming, **changes: Any
) -> Turn:
    turn = Turn(name, (make_message(f"question {name}", KEY, message_id=f"m-{name}"), *more))
    return turn.ended(
        "complete",
        f"answer {name}",
        conversation_id=past.conversation_id if past else "",
        generation=past.generation if past else 0,
        **changes,
    )


async def write_turns(history: RedisHistory, *names: str, **more: Any) -> list[Turn]:
    past = await history.read(KEY)
    turns = [make_turn(name, past) for name in names]
    for turn in turns:
        await history.append(TurnWrite(turn, tokens=tokens_of(turn), **more))
    return turns


async def read_turn_ids(history: RedisHistory) -> list[str]:
    return [item.turn.id for item in (await history.read(KEY)).window]
