"""Telegram adapter. Cheap to import: the SDK is loaded only where Telegram is configured."""

from __future__ import annotations

from adapters.telegram.settings import TelegramSettings
from bot.errors import SettingsError
from bot.ports import Check, Connection, Core
from bot.settings import Settings

NO_SDK_CURE = "Install it: pip install 'keepthread[telegram]'"


class TelegramAdapter:
    """See `bot.ports.Adapter`."""

    name = "telegram"
    settings_class = TelegramSettings
    setup_hint = "TELEGRAM_BOT_TOKEN"

    def is_configured(self, settings: TelegramSettings) -> bool:
        return settings.telegram_bot_token is not None

    async def open(self, core: Core, settings: TelegramSettings) -> Connection:
        """Connect. Raises SettingsError without the SDK, PlatformRefused if the token is."""
        try:
            from adapters.telegram.connection import TelegramConnection
        except ModuleNotFoundError as error:
            raise SettingsError(f"{error.name} is not installed", cure=NO_SDK_CURE) from error
        connection = TelegramConnection(core, settings)
        await connection.connect()
        return connection

    async def check(self, core_settings: Settings, settings: TelegramSettings) -> list[Check]:
        """Lines of `keepthread doctor` about Telegram."""
        if settings.telegram_bot_token is None:
            return [Check("telegram", "off", "TELEGRAM_BOT_TOKEN is not set")]
        try:
            from adapters.telegram.doctor import examine
        except ModuleNotFoundError as error:
            return [Check("telegram", "failed", f"{error.name} is not installed", NO_SDK_CURE)]
        return await examine(settings, core_settings)


ADAPTER = TelegramAdapter()
