"""Texts of finished and failed answers, for every adapter."""

from __future__ import annotations

import pytest

from adapters.shared.answer_text import (
    NO_WORDS,
    STOPPED,
    can_answer_again,
    failed_text,
    finished_text,
)
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn, TurnState
from bot.errors import (
    AccessRefused,
    AnswerFiltered,
    FailedBefore,
    KeepthreadError,
    ModelBusy,
    ModelTimeout,
    StoreUnavailable,
)


def turn(answer: str, state: TurnState = "complete") -> Turn:
    address = Address(SessionKey("test", "a", "p"))
    return Turn("t1", (Incoming(address, Speaker("u1"), "Hi"),), answer, state)


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [("Yes.", "complete", "Yes."), (" \n", "complete", NO_WORDS), ("", "stopped", STOPPED)],
)
def test_finished_text_is_never_empty(answer: str, state: TurnState, text: str) -> None:
    assert finished_text(turn(answer, state)) == text


def test_failed_text_without_an_answer_is_the_sentence_alone() -> None:
    assert failed_text(turn("  "), "Sorry.") == "⚠️ Sorry."


def test_failed_text_stands_outside_the_code_that_was_cut() -> None:
    assert failed_text(turn("```py\nx = 1"), "Sorry.") == "```py\nx = 1\n```\n\n⚠️ Sorry."


@pytest.mark.parametrize(
    ("error", "can"),
    [
        (ModelBusy(), True),
        (StoreUnavailable(), True),
        (FailedBefore("ModelTimeout"), ModelTimeout.can_retry),
        (FailedBefore("AnswerFiltered"), False),
        (FailedBefore("NoSuchError"), False),
        (AnswerFiltered(), False),
        (AccessRefused("no"), False),
    ],
)
def test_answering_again_is_offered_where_it_may_help(error: KeepthreadError, *, can: bool) -> None:
    assert can_answer_again(error) is can
