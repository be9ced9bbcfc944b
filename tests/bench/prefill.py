"""Fills Redis with conversations of any length, by the product's own appends in pipelines."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from redis.asyncio import Redis

from bot.conversation import Turn
from bot.memory.history import RedisHistory
from bot.ports import TurnWrite
from bot.prompt.tokens import count_tokens
from bot.prompt.transcript import messages_of
from bot.storage.scripts import script
from tests.bench.sample_conversation import SampleConversation

BATCH = 500
TTL = timedelta(days=1)

_count = cache(count_tokens)


def size_of(turn: Turn) -> int:
    """`bot.prompt.transcript.tokens_of` with a cache, since the texts repeat."""
    return sum(_count(message.text) + 4 for message in messages_of(turn))


async def fill(
    client: Redis, prefix: str, talk: SampleConversation, turns: int, *, window: int = 0
) -> None:
    """Store so many turns of `talk`, of which the newest `window` are in the window (0: all)."""
    past = await RedisHistory(client, prefix, TTL).read(talk.session)
    await client.script_load(script("bot.memory", "append").text)
    for start in range(0, turns, BATCH):
        async with client.pipeline(transaction=False) as pipe:
            # An append to a pipeline is noted down there; the verdicts come from `execute`.
            writer = RedisHistory(pipe, prefix, TTL)
            for at in range(start, min(start + BATCH, turns)):
                turn = talk.answered(at, conversation_id=past.conversation_id)
                first = max(0, at + 1 - window) if window else 0
                await writer.append(TurnWrite(turn, tokens=size_of(turn), first_seq=first))
            assert set(await pipe.execute()) == {b"written"}
