"""Inline keyboards: buttons under messages, and their callback data.

Callback data is `word:topic:argument`, at most 64 bytes (core.telegram.org/bots/api#inlinekeyboardbutton). It
holds the topic because a press on an old message does not tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from adapters.shared.button_actions import ButtonAction
from adapters.telegram.topics import Topic
from bot.ports import CommandButton

MAX_BYTES = 64

_WORDS: dict[ButtonAction, str] = {"stop": "stop", "rate": "rate", "command": "do"}
_ACTIONS = {word: action for action, word in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class CallbackData:
    """Callback data of a button.

    Attributes:
        action, argument: see `ButtonPress`.
        topic: the topic it is in, as session keys name it, or `""`.
    """

    action: ButtonAction
    topic: str = ""
    argument: str = ""

    def __str__(self) -> str:
        return f"{_WORDS[self.action]}:{self.topic}:{self.argument}"

    @classmethod
    def parse(cls, data: str) -> CallbackData | None:
        """The inverse of `str()`; None if `data` is not the bot's."""
        word, _, rest = data.partition(":")
        topic, colon, argument = rest.partition(":")
        if word not in _ACTIONS or not colon:
            return None
        try:
            Topic.parse(topic)
        except ValueError:
            return None
        return cls(_ACTIONS[word], topic, argument)


@dataclass(frozen=True, slots=True)
class Button:
    """Label and callback data of a button."""

    label: str
    data: str


def stop_button(topic: str) -> list[Button]:
    return [Button("⏹ Stop", str(CallbackData("stop", topic)))]


def rating_buttons(topic: str, chosen: str = "") -> list[Button]:
    """👍 👎; the chosen one is marked, and pressing it again takes it back."""
    buttons = []
    for rating, label in (("up", "👍"), ("down", "👎")):
        is_chosen = rating == chosen
        data = str(CallbackData("rate", topic, "" if is_chosen else rating))
        buttons.append(Button(f"{label} ✓" if is_chosen else label, data))
    return buttons


def offer_buttons(topic: str, offers: Sequence[CommandButton]) -> list[Button]:
    """Buttons for `offers`; those whose command is too long for a button are left out."""
    buttons = [
        Button(offer.label, str(CallbackData("command", topic, offer.command))) for offer in offers
    ]
    return [button for button in buttons if len(button.data.encode()) <= MAX_BYTES]


def inline_keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    """The SDK's keyboard of one row; None without buttons."""
    if not buttons:
        return None
    return InlineKeyboardMarkup(
        [[InlineKeyboardButton(button.label, callback_data=button.data) for button in buttons]]
    )
