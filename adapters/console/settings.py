"""The console's settings: none so far. An adapter's own would be fields here, named as their variables."""

from __future__ import annotations

from bot.settings import SettingsBase


class ConsoleSettings(SettingsBase):
    """A field `console_colour: str = Field("blue", description="…")` would be read from CONSOLE_COLOUR."""
