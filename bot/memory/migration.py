"""Migration of a conversation to another session key (a Telegram group that became a supergroup)."""

from __future__ import annotations

from typing import Any

from bot.conversation import SessionKey
from bot.memory.keys import HistoryKeys
from bot.storage.errors import store_errors
from bot.storage.scripts import script

TOMBSTONE_S = 24 * 3600
"""Time that a forgotten or moved conversation keeps its generation: longer than any turn of it can still run."""


async def migrate_conversation(
    client: Any, keys: HistoryKeys, old: SessionKey, new: SessionKey
) -> bool:
    """Put the conversation at `old` before the one at `new`. False: there was none.

    Turns that still run at `old` are read and written at `new` from the first moment on. The keys may
    live on different nodes of a cluster, so this is several steps, each safe to repeat after a crash.
    """
    old_keys, new_keys = keys.state_turns_index(old), keys.state_turns_index(new)
    with store_errors():
        if not await _redirect(client, old_keys[0], new_keys[0], new):
            return False
        state, turns, index = [await client.hgetall(key) for key in old_keys]
        for name in (b"moved", b"as"):
            state.pop(name, None)
        archives = state.get(b"olds", b"").decode().split()
        for name in archives:
            await _copy_hash(client, keys.archive(old, name), keys.archive(new, name))
        await script("bot.memory", "join").call(
            client,
            **keys.named(new),
            moved_from=str(old),
            ttl_s=max(1, await client.ttl(old_keys[0])),
            next_seq=state.get(b"next", 0),
            lists=[*_flat(state), *_flat(turns), *_flat(index)],
        )
        for key in (*old_keys[1:], *(keys.archive(old, name) for name in archives)):
            await client.unlink(key)
        await client.hset(old_keys[0], "as", await client.hget(new_keys[0], "gen") or 0)
        await client.hdel(old_keys[0], *(name for name in state if name != b"gen"))
        await client.expire(old_keys[0], TOMBSTONE_S)
    return True


async def _redirect(client: Any, old_state: str, new_state: str, new: SessionKey) -> bool:
    """Redirect reads and writes from the old place to the new one. False: there was no conversation."""
    generation, conversation = await client.hmget(old_state, "gen", "conv")
    new_generation = await client.hget(new_state, "gen")
    ttl_s = await client.ttl(old_state)
    async with client.pipeline(transaction=False) as pipe:
        target = {"moved": str(new), "as": new_generation or generation or 0}
        pipe.hset(old_state, mapping=target)
        pipe.expire(old_state, max(ttl_s, TOMBSTONE_S))
        await pipe.execute()
    return conversation is not None


async def _copy_hash(client: Any, source: str, target: str) -> None:
    """By value, because the keys may live on different nodes."""
    data = await client.hgetall(source)
    if data:
        ttl_s = await client.ttl(source)
        async with client.pipeline(transaction=True) as pipe:
            pipe.hset(target, mapping=data)
            pipe.expire(target, ttl_s if ttl_s > 0 else TOMBSTONE_S)
            await pipe.execute()


def _flat(fields: dict[bytes, bytes]) -> list[bytes | int]:
    """Names and values in turn, after their number."""
    return [2 * len(fields), *(part for pair in fields.items() for part in pair)]
