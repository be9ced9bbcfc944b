"""State of one message of an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class AnswerMessage:
    """State of one message of the answer.

    Attributes:
        text: its content; None if that is not known for sure.
        is_streaming: it is an open stream.
        has_stop_button: it carries a stop button.
    """

    ts: str
    text: str | None = ""
    is_streaming: bool = False
    has_stop_button: bool = False
