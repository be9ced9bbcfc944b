"""Stored form of turns, and the ids of conversations."""

from __future__ import annotations

import time
import uuid

from bot.conversation import Turn
from bot.ports import StoredTurn


def pack_turn(turn: Turn, tokens: int) -> bytes:
    return b"%d %s" % (tokens, turn.to_json())


def unpack_turn(seq: int, value: bytes) -> StoredTurn:
    tokens, _, data = value.partition(b" ")
    return StoredTurn(seq, Turn.from_json(data), int(tokens))


def new_conversation_id() -> str:
    """A UUIDv7, as LangSmith advises for thread ids (RFC 9562, section 5.7)."""
    value = (
        (time.time_ns() // 1_000_000) << 80
        | (0x7 << 76)
        | (uuid.uuid4().int & ~(0xF << 76)) & ((1 << 80) - 1)
    )
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=value))
