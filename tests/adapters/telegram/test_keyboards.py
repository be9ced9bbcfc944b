"""Buttons and their callback data."""

from __future__ import annotations

from adapters.telegram.outbound.keyboards import CallbackData, offer_buttons, rating_buttons
from bot.ports import CommandButton


def test_callback_data_survives_the_round_trip_and_fits() -> None:
    buttons = rating_buttons("5") + offer_buttons(
        "5", [CommandButton("Again", "retry"), CommandButton("No")]
    )
    callbacks = [CallbackData.parse(button.data) for button in buttons]
    assert callbacks == [
        CallbackData("rate", "5", "up"),
        CallbackData("rate", "5", "down"),
        CallbackData("command", "5", "retry"),
        CallbackData("command", "5", ""),
    ]
    assert offer_buttons("", [CommandButton("Long", "x" * 80)]) == []
    assert CallbackData.parse("somebody else's") is None


def test_the_chosen_rating_can_be_taken_back() -> None:
    up, down = rating_buttons("", chosen="up")
    assert (up.label, CallbackData.parse(up.data)) == ("👍 ✓", CallbackData("rate", "", ""))
    assert CallbackData.parse(down.data) == CallbackData("rate", "", "down")
