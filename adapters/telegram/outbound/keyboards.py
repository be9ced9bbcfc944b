"""Buttons under messages, and what they carry: at most 64 bytes (core.telegram.org/bots/api#inlinekeyboardbutton).

What they carry is `word:topic:rest`. The topic is in it because a press on an old message does not tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from bot.ports import CommandButton

MAX_BYTES = 64
Word = Literal["stop", "rate", "do"]


@dataclass(frozen=True, slots=True)
class CallbackData:
    """What a button stands for.

    Attributes:
        word: `stop` the answer, `rate` it, `do` a command.
        topic: id of the topic it is in, or `""`.
        rest: `up`, `down` or `""` of a rating; the command, `""` to decline it.
    """

    word: Word
    topic: str = ""
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.word}:{self.topic}:{self.rest}"

    @classmethod
    def parse(cls, data: str) -> CallbackData | None:
        """What `str()` wrote; None if it is none of ours."""
        word, _, more = data.partition(":")
        topic, colon, rest = more.partition(":")
        if word not in ("stop", "rate", "do") or not colon:
            return None
        return cls(cast("Word", word), topic, rest)


@dataclass(frozen=True, slots=True)
class Button:
    """A label, and what it carries."""

    label: str
    data: str


def stop_button(topic: str) -> list[Button]:
    return [Button("⏹ Stop", str(CallbackData("stop", topic)))]


def rating_buttons(topic: str, chosen: str = "") -> list[Button]:
    """👍 👎; the chosen one is marked, and pressing it again takes it back."""
    found = []
    for rating, label in (("up", "👍"), ("down", "👎")):
        is_chosen = rating == chosen
        data = str(CallbackData("rate", topic, "" if is_chosen else rating))
        found.append(Button(f"{label} ✓" if is_chosen else label, data))
    return found


def offer_buttons(topic: str, offers: Sequence[CommandButton]) -> list[Button]:
    """Buttons for `offers`; those whose command is too long for a button are left out."""
    found = [Button(one.label, str(CallbackData("do", topic, one.command))) for one in offers]
    return [one for one in found if len(one.data.encode()) <= MAX_BYTES]
