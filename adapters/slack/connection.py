"""Slack at work in one process: everything wired, and closed in reverse."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog

from adapters.slack import doctor
from adapters.slack.api import files
from adapters.slack.api.installations import Installations
from adapters.slack.api.payload import Json
from adapters.slack.api.threads import Threads
from adapters.slack.api.users import People
from adapters.slack.api.workspaces import Teams, new_session
from adapters.slack.app_home import Home
from adapters.slack.assistant import AgentThreads
from adapters.slack.inbound.dispatcher import Intake
from adapters.slack.inbound.events import Removed
from adapters.slack.inbound.interactions import Presses
from adapters.slack.inbound.thread_history import Seeding
from adapters.slack.outbound.messages import Outbound
from adapters.slack.outbound.reply import SlackReply
from adapters.slack.transport.bolt_app import build_app, dispatch
from adapters.slack.transport.http import event_routes, install_routes
from adapters.slack.transport.socket_mode import SocketMode
from bot.background import BackgroundTasks
from bot.conversation import Address, Attachment, Overheard, Speaker
from bot.errors import PlatformError, PlatformRefused, SettingsError
from bot.ports import Check, Health

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from adapters.slack.settings import SlackSettings
    from bot.ports import Core, Reply
    from bot.settings import Settings

log = structlog.get_logger("keepthread.slack")

_SIGN_ON_AGAIN_S = 5.0


class SlackConnection:
    """The `Connection` port. Made by `SlackConnection.open`."""

    def __init__(self, core: Core, settings: SlackSettings, session: aiohttp.ClientSession) -> None:
        self._core = core
        self._settings = settings
        self._session = session
        self._closing = AsyncExitStack()
        self._closing.push_async_callback(session.close)
        self._installations = _installations(core, settings)
        self._teams = Teams(settings, session, self._installations)
        self._people = People(self._teams)
        self._closing.push_async_callback(self._people.aclose)
        self._outbound = Outbound(self._teams.client)
        self._seeding = Seeding(self._teams, self._people)
        self._background = BackgroundTasks()
        self._closing.push_async_callback(self._background.aclose)
        home = Home(core, self._teams, self._people)
        self._intake = Intake(
            core,
            settings,
            self._teams,
            self._people,
            Threads(self._teams),
            Presses(core, self._people, home, self._background, self._say),
            home,
            AgentThreads(self._teams),
            self._background,
            self._say,
            self._removed,
        )
        self._app = build_app(settings, self._teams, self._intake, core.vault, self._installations)
        self._sockets = socket_mode(settings, self._teams, session, self._take_envelope)

    @classmethod
    async def open(cls, core: Core, settings: SlackSettings) -> SlackConnection:
        """Sign on.

        Raises:
            SettingsError: something is missing.
            PlatformRefused: a token is no good, of another app, or lacks scopes.
        """
        settings.require_complete()
        if settings.multi_workspace and core.settings.bot_encryption_key is None:
            raise SettingsError(
                "SLACK_CLIENT_ID lets other workspaces install the app, but their tokens cannot be stored",
                cure="Set BOT_ENCRYPTION_KEY to a long random text and keep it.",
            )
        connection = cls(core, settings, new_session())
        try:
            await connection._preflight()
        except PlatformRefused:
            await connection.aclose()
            raise
        except PlatformError as error:
            # Slack is down: no reason to keep the other platforms from working.
            log.warning("Slack cannot be reached yet", error=repr(error))
        except BaseException:
            await connection.aclose()
            raise
        return connection

    def reply(self, address: Address) -> Reply:
        return SlackReply(self._outbound, address)

    async def receive(self) -> None:
        while self._settings.slack_bot_token and self._teams.home is None:
            try:
                await self._preflight()
            except PlatformError as error:
                log.warning("Slack does not let us sign on", error=repr(error))
                await asyncio.sleep(_SIGN_ON_AGAIN_S)
        if self._sockets is not None:
            await self._sockets.run()  # without it, events come through routes()

    def routes(self) -> list[BaseRoute]:
        secret = self._settings.slack_signing_secret
        found = event_routes(self._app, secret.get_secret_value()) if secret else []
        return found + (install_routes(self._app) if self._installations else [])

    def health(self) -> Health:
        if self._settings.slack_bot_token and self._teams.home is None:
            return Health(False, "not signed on")
        return self._sockets.health() if self._sockets else Health(True, "signed HTTP")

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        return await self._people.is_admin(address.session.account, speaker.id)

    async def download(self, address: Address, attachment: Attachment) -> bytes:
        team = address.session.account
        attachment = await files.look_up(self._teams, team, attachment)
        token = await self._teams.token(team)
        api_url = self._settings.slack_api_url
        return await files.fetch(self._session, attachment.reference, token, attachment, api_url)

    async def fetch_thread_history(self, address: Address) -> tuple[Overheard, ...]:
        return await self._seeding.seed(address)

    async def aclose(self) -> None:
        await self._closing.aclose()

    async def _preflight(self) -> None:
        await doctor.sign_on(self._teams)
        if self._sockets is not None:
            await self._sockets.preflight()
            await doctor.same_app(self._teams, self._settings)

    async def _take_envelope(self, envelope: Json) -> dict[str, Any] | None:
        return await dispatch(self._app, envelope)

    def _say(self, address: Address, text: str) -> None:
        self._background.add("a word", self._said(address, text))

    async def _said(self, address: Address, text: str) -> None:
        reply = self.reply(address)
        try:
            await reply.post(text)
        finally:
            await reply.aclose()

    async def _removed(self, removed: Removed) -> None:
        """The app is gone from a workspace: its token goes too. Raises StoreError."""
        if not removed.bot_revoked:
            return
        home = self._teams.home
        if home is not None and home.id == removed.team:
            log.error(
                "the app was removed from the workspace of SLACK_BOT_TOKEN", team=removed.team
            )
        if self._installations is not None:
            await self._installations.async_delete_all(
                enterprise_id=removed.enterprise or None, team_id=removed.team or None
            )
            self._teams.forget(removed.team)
            log.info("installation dropped", team=removed.team)


async def examine(own: SlackSettings, settings: Settings) -> list[Check]:
    """Doctor's lines. Raises nothing."""
    async with new_session() as session:
        teams = Teams(own, session)
        sockets = socket_mode(own, teams, session, None)
        has_key = settings.bot_encryption_key is not None
        return await doctor.check(own, teams, sockets, has_key)


def socket_mode(
    settings: SlackSettings, teams: Teams, session: aiohttp.ClientSession, handle: Any
) -> SocketMode | None:
    token = settings.slack_app_token
    if token is None:
        return None
    return SocketMode(teams.new_client(None), session, token.get_secret_value(), handle)


def _installations(core: Core, settings: SlackSettings) -> Installations | None:
    if not settings.slack_client_id or not settings.slack_client_secret:
        return None
    return Installations(
        core.vault,
        settings.slack_client_id,
        settings.slack_client_secret.get_secret_value(),
        settings.slack_workspaces,
    )
