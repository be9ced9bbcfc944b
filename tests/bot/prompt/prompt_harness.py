"""Prompt harness: turns and snapshots without a store."""

from __future__ import annotations

from typing import Any

from bot.conversation import (
    SessionKey,
    Turn,
)
from bot.ports import HistorySnapshot, StoredTurn
from bot.prompt.builder import PromptBuilder
from bot.prompt.transcript import tokens_of
from tests.support.messages import make_message

KEY = SessionKey("slack", "T1", "C1", "1.2")


CONTEXT = PromptBuilder("Be kind.", 1000, 0.5)


def asked(text: str) -> Turn:
    return Turn("new", (make_message(text, KEY),))


def past_of(*turns: Turn, **more: Any) -> HistorySnapshot:
    window = tuple(StoredTurn(seq, turn, tokens_of(turn)) for seq, turn in enumerate(turns))
    return HistorySnapshot("conv", 0, next_seq=len(turns), window=window, **more)


def answered(number: int, words: int = 8) -> Turn:
    return asked(f"question {number} " + "word " * words).ended("complete", f"answer {number}")
