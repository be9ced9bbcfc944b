"""Stored form of turns and of a conversation's state, and the ids of conversations."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from bot.conversation import Turn
from bot.ports import FoldState, HistorySnapshot, ProvenPrompt, StoredTurn


def pack_turn(turn: Turn, tokens: int) -> bytes:
    return b"%d %s" % (tokens, turn.to_json())


def unpack_turn(seq: int, value: bytes) -> StoredTurn:
    tokens, _, data = value.partition(b" ")
    return StoredTurn(seq, Turn.from_json(data), int(tokens))


def unpack_snapshot(reply: Sequence[Any]) -> HistorySnapshot:
    """The snapshot in a reply of lua/read.lua."""
    _, gen, conv, following, first, summary, folded, calibration, known, window, *rest = reply
    edits, extract, *counts, proven, reported = rest
    first_seq = int(first)
    return HistorySnapshot(
        conversation_id=conv.decode(),
        generation=int(gen),
        next_seq=int(following),
        summary=summary.decode(),
        summarised_to=int(folded),
        first_seq=first_seq,
        window=tuple(
            unpack_turn(seq, value) for seq, value in enumerate(window, first_seq) if value
        ),
        calibration=float(calibration),
        proven=ProvenPrompt(int(proven), int(reported)),
        known=unpack_turn(0, known).turn if known else None,
        edits=int(edits),
        fold=FoldState(extract.decode(), *map(int, counts)),
    )


def new_conversation_id() -> str:
    """A UUIDv7, as LangSmith advises for thread ids (RFC 9562, section 5.7)."""
    value = (
        (time.time_ns() // 1_000_000) << 80
        | (0x7 << 76)
        | (uuid.uuid4().int & ~(0xF << 76)) & ((1 << 80) - 1)
    )
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=value))
