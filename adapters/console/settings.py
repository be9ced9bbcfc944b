"""Settings of the console: none. Those of another adapter are fields here, named as their variables."""

from __future__ import annotations

from bot.settings import SettingsBase


class ConsoleSettings(SettingsBase):
    """Settings class. A field `console_colour: str = Field("blue", description="…")` would be read from CONSOLE_COLOUR."""
