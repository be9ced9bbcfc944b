"""Slack at work in one process: everything wired, and closed in reverse."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog

from adapters.slack import doctor
from adapters.slack.api import files
from adapters.slack.api.installations import InstallationStore
from adapters.slack.api.payload import Json
from adapters.slack.api.threads import ThreadLookup
from adapters.slack.api.users import UserDirectory
from adapters.slack.api.workspaces import Workspaces, new_session
from adapters.slack.app_home import AppHome
from adapters.slack.assistant import Assistant
from adapters.slack.inbound.dispatcher import Dispatcher
from adapters.slack.inbound.events import AppUninstalled
from adapters.slack.inbound.interactions import Interactions
from adapters.slack.inbound.thread_history import ThreadHistoryFetcher
from adapters.slack.outbound.messages import MessageSender
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
        self._workspaces = Workspaces(settings, session, self._installations)
        self._users = UserDirectory(self._workspaces)
        self._closing.push_async_callback(self._users.aclose)
        self._sender = MessageSender(self._workspaces.client)
        self._thread_history = ThreadHistoryFetcher(self._workspaces, self._users)
        self._background = BackgroundTasks()
        self._closing.push_async_callback(self._background.aclose)
        home = AppHome(core, self._workspaces, self._users)
        self._dispatcher = Dispatcher(
            core,
            settings,
            self._workspaces,
            self._users,
            ThreadLookup(self._workspaces),
            Interactions(core, self._users, home, self._background, self._notify),
            home,
            Assistant(self._workspaces),
            self._background,
            self._notify,
            self._removed,
        )
        self._app = build_app(
            settings, self._workspaces, self._dispatcher, core.vault, self._installations
        )
        self._sockets = socket_mode(settings, self._workspaces, session, self._take_envelope)

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
        return SlackReply(self._sender, address)

    async def receive(self) -> None:
        while self._settings.slack_bot_token and self._workspaces.home is None:
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
        if self._settings.slack_bot_token and self._workspaces.home is None:
            return Health(False, "not signed on")
        return self._sockets.health() if self._sockets else Health(True, "signed HTTP")

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        return await self._users.is_admin(address.session.account, speaker.id)

    async def download(self, address: Address, attachment: Attachment) -> bytes:
        team = address.session.account
        attachment = await files.describe_file(self._workspaces, team, attachment)
        token = await self._workspaces.token(team)
        api_url = self._settings.slack_api_url
        return await files.fetch(self._session, attachment.reference, token, attachment, api_url)

    async def fetch_thread_history(self, address: Address) -> tuple[Overheard, ...]:
        if not address.details.get("seed"):
            return ()
        return await self._thread_history.seed(address)

    async def aclose(self) -> None:
        await self._closing.aclose()

    async def _preflight(self) -> None:
        await doctor.sign_on(self._workspaces)
        if self._sockets is not None:
            await self._sockets.preflight()
            await doctor.check_same_app(self._workspaces, self._settings)

    async def _take_envelope(self, envelope: Json) -> dict[str, Any] | None:
        return await dispatch(self._app, envelope)

    def _notify(self, address: Address, text: str) -> None:
        self._background.add("a word", self._said(address, text))

    async def _said(self, address: Address, text: str) -> None:
        reply = self.reply(address)
        try:
            await reply.post(text)
        finally:
            await reply.aclose()

    async def _removed(self, removed: AppUninstalled) -> None:
        """The app is gone from a workspace: its token goes too. Raises StoreError."""
        if not removed.bot_revoked:
            return
        home = self._workspaces.home
        if home is not None and home.id == removed.team:
            log.error(
                "the app was removed from the workspace of SLACK_BOT_TOKEN", team=removed.team
            )
        if self._installations is not None:
            await self._installations.async_delete_all(
                enterprise_id=removed.enterprise or None, team_id=removed.team or None
            )
            self._workspaces.forget(removed.team)
            log.info("installation dropped", team=removed.team)


async def run_checks(own: SlackSettings, settings: Settings) -> list[Check]:
    """Doctor's lines. Raises nothing."""
    async with new_session() as session:
        workspaces = Workspaces(own, session)
        sockets = socket_mode(own, workspaces, session, None)
        has_key = settings.bot_encryption_key is not None
        return await doctor.check(own, workspaces, sockets, has_key)


def socket_mode(
    settings: SlackSettings, workspaces: Workspaces, session: aiohttp.ClientSession, handle: Any
) -> SocketMode | None:
    token = settings.slack_app_token
    if token is None:
        return None
    return SocketMode(workspaces.new_client(None), session, token.get_secret_value(), handle)


def _installations(core: Core, settings: SlackSettings) -> InstallationStore | None:
    if not settings.slack_client_id or not settings.slack_client_secret:
        return None
    return InstallationStore(
        core.vault,
        settings.slack_client_id,
        settings.slack_client_secret.get_secret_value(),
        settings.slack_workspaces,
    )
