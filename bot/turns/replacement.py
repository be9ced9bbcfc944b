"""Rules of `retry`: hides the old answer from the prompt, and says whether it is kept."""

from __future__ import annotations

from dataclasses import replace

from bot.ports import HistorySnapshot
from bot.turns.answer_stream import GeneratedAnswer
from bot.turns.request import Request


def without_replaced_turn(past: HistorySnapshot, request: Request) -> HistorySnapshot:
    """History as it was before the turn that is replaced: the old answer must not steer the new one."""
    if not request.replaces:
        return past
    window = tuple(item for item in past.window if item.turn.id != request.replaces)
    return replace(past, window=window)


def keeps_old_answer(request: Request, answer: GeneratedAnswer) -> bool:
    """Whether the old answer stays: the new one failed, or was stopped before its first word."""
    is_empty = answer.turn.state == "stopped" and not answer.turn.answer
    return bool(request.replaces) and (answer.error is not None or is_empty)
