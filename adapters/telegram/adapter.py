"""The adapter: cheap to import; the SDK is loaded only where Telegram is configured."""

from __future__ import annotations

from adapters.telegram.settings import TelegramSettings
from bot.errors import SettingsError
from bot.ports import Check, Connection, Core
from bot.settings import Settings, SettingsBase

NO_SDK_CURE = "Install it: pip install 'keepthread[telegram]'"


class TelegramAdapter:
    """See `bot.ports.Adapter`."""

    name = "telegram"
    settings_class: type[SettingsBase] = TelegramSettings

    def configured(self, settings: Settings) -> bool:
        return TelegramSettings.load().telegram_bot_token is not None

    async def open(self, core: Core) -> Connection:
        """Connect. Raises SettingsError without the SDK, PlatformRefused if the token is."""
        settings = TelegramSettings.load()
        try:
            from adapters.telegram.connection import TelegramConnection
        except ModuleNotFoundError as error:
            raise SettingsError(f"{error.name} is not installed", cure=NO_SDK_CURE) from error
        connection = TelegramConnection(core, settings)
        await connection.begin()
        return connection

    async def check(self, settings: Settings) -> list[Check]:
        """What `keepthread doctor` shows of Telegram."""
        try:
            ours = TelegramSettings.load()
        except SettingsError as error:
            return [Check("telegram", "failed", str(error), error.cure)]
        if ours.telegram_bot_token is None:
            return [Check("telegram", "off", "TELEGRAM_BOT_TOKEN is not set")]
        try:
            from adapters.telegram.doctor import examine
        except ModuleNotFoundError as error:
            return [Check("telegram", "failed", f"{error.name} is not installed", NO_SDK_CURE)]
        return await examine(ours, settings)


ADAPTER = TelegramAdapter()
