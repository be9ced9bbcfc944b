"""Settings: read once from the environment and `.env`, typed, frozen."""

from bot.settings.base import Names, SettingsBase
from bot.settings.core import Settings
from bot.settings.validators import is_http_url

__all__ = ["Names", "Settings", "SettingsBase", "is_http_url"]
