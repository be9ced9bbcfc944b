"""Settings: read once from the environment and `.env`, typed, frozen."""

from bot.settings.base import Names, SettingsBase
from bot.settings.core import Settings

__all__ = ["Names", "Settings", "SettingsBase"]
