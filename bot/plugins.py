"""Installed adapters, found by entry point, and their settings."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, cast

from bot.errors import SettingsError
from bot.ports import Adapter
from bot.settings import Settings, SettingsBase
from bot.settings.unknown_names import refuse_misspelt


def adapters() -> dict[str, Adapter]:
    """The installed platforms by name; a package may bring its own."""
    found = {
        point.name: cast("Adapter", point.load())
        for point in entry_points(group="keepthread.adapters")
    }
    return dict(sorted(found.items()))


def settings_classes() -> list[type[SettingsBase]]:
    """The core's settings, then those of each installed platform."""
    return [Settings, *(adapter.settings_class for adapter in adapters().values())]


def load_settings(**overrides: Any) -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: a name is misspelt or a value impossible.
    """
    refuse_misspelt(settings_classes())
    settings = Settings.load(**overrides)
    known = adapters()
    for item in (*settings.bot_allow, *settings.bot_admins):
        if item.partition(":")[0] not in known:
            raise SettingsError(
                f"BOT_ALLOW and BOT_ADMINS: {item!r} is of no platform that is installed",
                cure=f"Begin it with one of {', '.join(f'{name}:' for name in known)}.",
            )
    return settings
