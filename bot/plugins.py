"""Installed adapters, found by entry point, and their settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, cast

from bot.errors import SettingsError
from bot.ports import Adapter, Connection, Core, LocalAdapter
from bot.settings import Settings, SettingsBase
from bot.settings.unknown_names import refuse_unknown_names


@dataclass(frozen=True, slots=True)
class ConfiguredAdapter:
    """Adapter with its settings, loaded once."""

    adapter: Adapter[Any]
    settings: SettingsBase

    @property
    def name(self) -> str:
        return self.adapter.name

    async def open(self, core: Core) -> Connection:
        """Connect. Raises SettingsError, PlatformRefused."""
        return await self.adapter.open(core, self.settings)


def adapters() -> dict[str, Adapter[Any]]:
    """Installed adapters by platform name; a package may bring its own."""
    found = {
        point.name: cast("Adapter[Any]", point.load())
        for point in entry_points(group="keepthread.adapters")
    }
    return dict(sorted(found.items()))


def local_adapters() -> dict[str, LocalAdapter]:
    """Installed adapters of conversations on this machine."""
    return {
        name: adapter for name, adapter in adapters().items() if isinstance(adapter, LocalAdapter)
    }


def local_adapter() -> LocalAdapter:
    """The adapter that `keepthread chat` opens."""
    return next(iter(local_adapters().values()))


def configured_adapters(installed: Iterable[Adapter[Any]]) -> list[ConfiguredAdapter]:
    """Those of `installed` whose settings switch them on, at least one.

    Raises:
        SettingsError: a setting is impossible, or no platform is configured.
    """
    installed = tuple(installed)
    loaded = [ConfiguredAdapter(adapter, adapter.settings_class.load()) for adapter in installed]
    found = [each for each in loaded if each.adapter.is_configured(each.settings)]
    if not found:
        hints = sorted((each.setup_hint for each in installed if each.setup_hint), key=len)
        raise SettingsError(
            "no platform is configured",
            cure=f"Set {', or '.join(hints)}; or talk here: keepthread chat",
        )
    return found


def settings_classes() -> list[type[SettingsBase]]:
    """The core's settings, then those of each installed platform."""
    return [Settings, *(adapter.settings_class for adapter in adapters().values())]


def load_settings(**overrides: Any) -> Settings:
    """Read and check the core's settings, and the names of all.

    Raises:
        SettingsError: a name is misspelt or a value impossible.
    """
    refuse_unknown_names(settings_classes())
    settings = Settings.load(**overrides)
    known = adapters()
    for item in (*settings.bot_allow, *settings.bot_admins):
        if item.partition(":")[0] not in known:
            raise SettingsError(
                f"BOT_ALLOW and BOT_ADMINS: {item!r} is of no platform that is installed",
                cure=f"Begin it with one of {', '.join(f'{name}:' for name in known)}.",
            )
    return settings
