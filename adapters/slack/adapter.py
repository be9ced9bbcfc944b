"""The adapter as the core finds it. Cheap to import: the SDK comes in only when Slack is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.slack.settings import SlackSettings
from bot.errors import SettingsError
from bot.ports import Check

if TYPE_CHECKING:
    from adapters.slack.connection import SlackConnection
    from bot.ports import Core
    from bot.settings import Settings


NO_SDK_CURE = "Install it: pip install 'keepthread[slack]'"


class SlackAdapter:
    """The `Adapter` port."""

    name = "slack"
    settings_class = SlackSettings

    def configured(self, settings: Settings) -> bool:
        return SlackSettings.load().any_set

    async def open(self, core: Core) -> SlackConnection:
        """Raises SettingsError (also without the SDK), PlatformRefused."""
        settings = SlackSettings.load()
        try:
            from adapters.slack.connection import SlackConnection
        except ModuleNotFoundError as error:
            raise SettingsError(f"{error.name} is not installed", cure=NO_SDK_CURE) from error
        return await SlackConnection.open(core, settings)

    async def check(self, settings: Settings) -> list[Check]:
        """What `keepthread doctor` shows of Slack."""
        try:
            own = SlackSettings.load()
        except SettingsError as error:
            return [Check("slack", "failed", str(error), error.cure)]
        if not own.any_set:
            return [Check("slack", "off", "SLACK_BOT_TOKEN is not set")]
        try:
            from adapters.slack.connection import examine
        except ModuleNotFoundError as error:
            return [Check("slack", "failed", f"{error.name} is not installed", NO_SDK_CURE)]
        return await examine(own, settings)


ADAPTER = SlackAdapter()
