"""Sessions harness: conversations of a Telegram topic and a Slack thread."""

from __future__ import annotations

from dataclasses import replace

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.memory.history import RedisHistory
from bot.ports import TurnWrite
from bot.prompt.transcript import tokens_of

KEY = SessionKey("telegram", "7", "-100", "3")
OTHER = SessionKey("slack", "T1", "C{1}/*", "1.2")


async def write_turns(history: RedisHistory, session: SessionKey, *names: str) -> None:
    past = await history.read(session)
    for name in names:
        turn = replace(
            make_turn(session, name),
            conversation_id=past.conversation_id,
            generation=past.generation,
        )
        await history.append(TurnWrite(turn, tokens=tokens_of(turn)))


def make_turn(session: SessionKey, name: str) -> Turn:
    said = Incoming(Address(session), Speaker("1", "Ada"), f"say {name}", f"m-{name}")
    return Turn(name, (said,)).ended("complete", f"said {name}")
