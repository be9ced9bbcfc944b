"""Slack adapter. Cheap to import: the SDK is loaded only where Slack is configured."""

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
    """See `bot.ports.Adapter`."""

    name = "slack"
    settings_class = SlackSettings
    setup_hint = "SLACK_BOT_TOKEN with SLACK_APP_TOKEN or SLACK_SIGNING_SECRET"

    def is_configured(self, settings: SlackSettings) -> bool:
        return settings.any_set

    async def open(self, core: Core, settings: SlackSettings) -> SlackConnection:
        """Connect. Raises SettingsError (also without the SDK), PlatformRefused."""
        try:
            from adapters.slack.connection import SlackConnection
        except ModuleNotFoundError as error:
            raise SettingsError(f"{error.name} is not installed", cure=NO_SDK_CURE) from error
        return await SlackConnection.open(core, settings)

    async def check(self, core_settings: Settings, settings: SlackSettings) -> list[Check]:
        """Lines of `keepthread doctor` about Slack."""
        if not settings.any_set:
            return [Check("slack", "off", "SLACK_BOT_TOKEN is not set")]
        try:
            from adapters.slack.connection import run_checks
        except ModuleNotFoundError as error:
            return [Check("slack", "failed", f"{error.name} is not installed", NO_SDK_CURE)]
        return await run_checks(settings, core_settings)


ADAPTER = SlackAdapter()
