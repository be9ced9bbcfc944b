"""Texts of finished and failed answers, in Markdown."""

from __future__ import annotations

from adapters.shared.markdown_fences import close_fence
from bot.conversation import Turn
from bot.errors import FailedBefore, KeepthreadError, OnlyThinking

STOPPED = "_Stopped._"
NO_WORDS = "_(The answer has no words.)_"


def finished_text(turn: Turn) -> str:
    """The answer, or a sentence in place of an empty one: platforms refuse empty messages."""
    if turn.answer.strip():
        return turn.answer
    return STOPPED if turn.state == "stopped" else NO_WORDS


def failed_text(turn: Turn, user_text: str) -> str:
    """The error's sentence, below the part of the answer that was already written."""
    warning = f"⚠️ {user_text}"
    return f"{close_fence(turn.answer)}\n\n{warning}" if turn.answer.strip() else warning


def can_answer_again(error: KeepthreadError) -> bool:
    """Whether a button to answer again makes sense: the same question may succeed later."""
    kind = error.kind if isinstance(error, FailedBefore) else type(error)
    return kind.can_retry or issubclass(kind, OnlyThinking)
