"""The adapter as the core finds it. Cheap to import: the SDK comes in only when Slack is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.slack.settings import SlackSettings
from bot.ports import Check

if TYPE_CHECKING:
    from adapters.slack.connection import SlackConnection
    from bot.ports import Core
    from bot.settings import Settings


class SlackAdapter:
    """The `Adapter` port."""

    name = "slack"
    settings_class = SlackSettings

    def configured(self, settings: Settings) -> bool:
        return SlackSettings.load().any_set

    async def open(self, core: Core) -> SlackConnection:
        """Raises SettingsError, PlatformRefused."""
        from adapters.slack.connection import SlackConnection

        return await SlackConnection.open(core, SlackSettings.load())

    async def check(self, settings: Settings) -> list[Check]:
        own = SlackSettings.load()
        if not own.any_set:
            return [Check("slack", "off", cure="Set SLACK_BOT_TOKEN and SLACK_APP_TOKEN.")]
        from adapters.slack import preflight
        from adapters.slack.connection import new_session, socket_mode
        from adapters.slack.teams import Teams

        async with new_session() as session:
            teams = Teams(own, session)
            sockets = socket_mode(own, teams, session, None)
            has_key = settings.bot_encryption_key is not None
            return await preflight.check(own, teams, sockets, has_key)


ADAPTER = SlackAdapter()
