"""Slack connection: the parts of the adapter wired together in one process, and closed in reverse."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog

from adapters.shared.notices import post_notice
from adapters.slack import doctor
from adapters.slack.api import files
from adapters.slack.api.installations import InstallationStore
from adapters.slack.api.payload import Json
from adapters.slack.api.places import PlaceDirectory
from adapters.slack.api.users import UserDirectory
from adapters.slack.api.web_api import WebApiClient
from adapters.slack.api.workspaces import Workspaces, new_session
from adapters.slack.inbound.events import AppUninstalled
from adapters.slack.inbound.thread_history import ThreadHistoryFetcher
from adapters.slack.inbound.wiring import build_dispatcher
from adapters.slack.outbound.address_details import SlackDetails
from adapters.slack.outbound.messages import MessageSender
from adapters.slack.outbound.reply import SlackReply
from adapters.slack.transport.bolt_app import build_app, dispatch_envelope
from adapters.slack.transport.http import event_routes, install_routes
from adapters.slack.transport.socket_mode import EnvelopeHandler, SocketMode
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

_SIGN_ON_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class SlackApi:
    """Access to Slack's API: the HTTP session, installations, workspaces, users and places."""

    session: aiohttp.ClientSession
    installations: InstallationStore | None
    workspaces: Workspaces
    users: UserDirectory
    places: PlaceDirectory

    @classmethod
    def create(
        cls, core: Core, settings: SlackSettings, session: aiohttp.ClientSession
    ) -> SlackApi:
        installations = _installation_store(core, settings)
        workspaces = Workspaces(settings, session, installations)
        users, places = UserDirectory(workspaces), PlaceDirectory(workspaces)
        return cls(session, installations, workspaces, users, places)

    async def aclose(self) -> None:
        try:
            await self.users.aclose()
            await self.places.aclose()
        finally:
            await self.session.close()


class SlackConnection:
    """See `bot.ports.Connection`. Made by `SlackConnection.open`."""

    def __init__(self, core: Core, settings: SlackSettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._api = api = SlackApi.create(core, settings, session)
        self._background = BackgroundTasks()
        self._sender = MessageSender(WebApiClient(api.workspaces.client))
        self._history = ThreadHistoryFetcher(api.workspaces, api.users, api.places)
        dispatcher = build_dispatcher(
            core,
            settings,
            api.workspaces,
            api.users,
            api.places,
            self._background,
            notify=self._notify,
            on_uninstalled=self._on_uninstalled,
        )
        self._app = build_app(settings, api.workspaces, dispatcher, core.vault, api.installations)
        self._sockets = socket_mode(settings, api.workspaces, session, self._handle_envelope)
        self._closing = AsyncExitStack()
        self._closing.push_async_callback(api.aclose)
        self._closing.push_async_callback(self._background.aclose)

    @classmethod
    async def open(cls, core: Core, settings: SlackSettings) -> SlackConnection:
        """Sign on.

        Raises:
            SettingsError: something is missing.
            PlatformRefused: a token is invalid, of another app, or lacks scopes.
        """
        settings.require_complete()
        if settings.multi_workspace and core.settings.bot_encryption_key is None:
            raise SettingsError(
                "SLACK_CLIENT_ID lets other workspaces install the app, but their tokens cannot be stored",
                cure="Set BOT_ENCRYPTION_KEY to a long random text and keep it.",
            )
        connection = cls(core, settings, new_session())
        try:
            await connection._sign_on()
        except PlatformRefused:
            await connection.aclose()
            raise
        except PlatformError as error:
            # Slack is down: the other platforms must work all the same.
            log.warning("Slack unreachable, sign-on postponed", error=repr(error))
        except BaseException:
            await connection.aclose()
            raise
        return connection

    def reply(self, address: Address) -> Reply:
        return SlackReply(self._sender, address)

    async def receive(self) -> None:
        while self._is_signed_off:
            try:
                await self._sign_on()
            except PlatformError as error:
                log.warning("sign-on failed", error=repr(error))
                await asyncio.sleep(_SIGN_ON_EVERY_S)
        if self._sockets is not None:
            await self._sockets.run()  # without it, events come through routes()

    def routes(self) -> list[BaseRoute]:
        secret = self._settings.slack_signing_secret
        routes = event_routes(self._app, secret.get_secret_value()) if secret else []
        return routes + (install_routes(self._app) if self._api.installations else [])

    def health(self) -> Health:
        if self._is_signed_off:
            return Health(False, "not signed on")
        return self._sockets.health() if self._sockets else Health(True, "signed HTTP")

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        return await self._api.users.is_admin(address.session.account, speaker.id)

    async def download(self, address: Address, attachment: Attachment, max_bytes: int) -> bytes:
        team, workspaces = address.session.account, self._api.workspaces
        attachment = await files.describe_file(workspaces, team, attachment)
        token = await workspaces.token(team)
        api_url = self._settings.slack_api_url
        return await files.download(
            self._api.session,
            attachment.reference,
            token,
            attachment,
            api_url,
            max_bytes=max_bytes,
        )

    async def fetch_thread_history(self, address: Address) -> tuple[Overheard, ...]:
        if not SlackDetails.of(address).needs_history:
            return ()
        return await self._history.fetch(address)

    async def aclose(self) -> None:
        await self._closing.aclose()

    @property
    def _is_signed_off(self) -> bool:
        """Whether SLACK_BOT_TOKEN is set and not identified yet."""
        return bool(self._settings.slack_bot_token) and self._api.workspaces.home is None

    async def _sign_on(self) -> None:
        await doctor.sign_on(self._api.workspaces)
        if self._sockets is not None:
            await self._sockets.request_url()
            await doctor.check_same_app(self._api.workspaces, self._settings)

    async def _handle_envelope(self, envelope: Json) -> dict[str, Any] | None:
        return await dispatch_envelope(self._app, envelope)

    def _notify(self, address: Address, text: str) -> None:
        self._background.add("post notice", post_notice(self.reply(address), text))

    async def _on_uninstalled(self, event: AppUninstalled) -> None:
        """Delete the token of a workspace that removed the app. Raises StoreError."""
        if not event.bot_revoked:
            return
        home = self._api.workspaces.home
        if home is not None and home.id == event.team:
            log.error("app removed from the workspace of SLACK_BOT_TOKEN", team=event.team)
        if self._api.installations is not None:
            await self._api.installations.async_delete_all(
                enterprise_id=event.enterprise or None, team_id=event.team or None
            )
            self._api.workspaces.forget(event.team)
            log.info("installation dropped", team=event.team)


async def run_checks(own: SlackSettings, settings: Settings) -> list[Check]:
    """Doctor's lines. Raises nothing."""
    async with new_session() as session:
        workspaces = Workspaces(own, session)
        sockets = socket_mode(own, workspaces, session, _ignore_envelope)
        has_key = settings.bot_encryption_key is not None
        return await doctor.check(own, workspaces, sockets, has_key)


def socket_mode(
    settings: SlackSettings,
    workspaces: Workspaces,
    session: aiohttp.ClientSession,
    handle: EnvelopeHandler,
) -> SocketMode | None:
    """Socket Mode, or None if events come over HTTP."""
    token = settings.slack_app_token
    if token is None:
        return None
    return SocketMode(workspaces.new_client(None), session, token.get_secret_value(), handle)


async def _ignore_envelope(envelope: Json) -> None:
    """Handler of a SocketMode that is never run."""


def _installation_store(core: Core, settings: SlackSettings) -> InstallationStore | None:
    if not settings.slack_client_id or not settings.slack_client_secret:
        return None
    return InstallationStore(
        core.vault,
        settings.slack_client_id,
        settings.slack_client_secret.get_secret_value(),
        settings.slack_workspaces,
    )
