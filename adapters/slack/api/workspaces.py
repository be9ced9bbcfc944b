"""Workspaces that have the app installed: the bot's identity there, its token, and clients that use it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.slack.api.errors import slack_errors
from bot.cache import TTLCache
from bot.errors import PlatformRefused

if TYPE_CHECKING:
    import aiohttp
    from slack_sdk.web.async_client import AsyncWebClient

    from adapters.slack.api.installations import InstallationStore
    from adapters.slack.settings import SlackSettings

CALL_TIMEOUT_S = 15.0
_CACHE_TTL_S = 30.0
"""Cache lifetime of an installation; rotation and removal elsewhere take effect at the latest then."""

_MAX_CACHED = 1_000


@dataclass(frozen=True, slots=True)
class Workspace:
    """Installation in a workspace. `url` is the workspace's own address, ending in a slash."""

    id: str
    bot_user: str
    bot_id: str = ""
    name: str = ""
    url: str = ""
    bot_name: str = ""
    app_id: str = ""
    scopes: tuple[str, ...] = ()


class Workspaces:
    """Installations by workspace: one from SLACK_BOT_TOKEN, the others from the installation store."""

    def __init__(
        self,
        settings: SlackSettings,
        session: aiohttp.ClientSession,
        installations: InstallationStore | None = None,
    ) -> None:
        self._settings = settings
        self._session = session
        self._installations = installations
        self._home: Workspace | None = None
        self._cache: TTLCache[str, tuple[Workspace, str]] = TTLCache(_MAX_CACHED, _CACHE_TTL_S)
        self._signing_on = asyncio.Lock()

    @property
    def home(self) -> Workspace | None:
        """The workspace of SLACK_BOT_TOKEN, once signed on."""
        return self._home

    @property
    def home_token(self) -> str:
        """SLACK_BOT_TOKEN, or `""`."""
        token = self._settings.slack_bot_token
        return token.get_secret_value() if token else ""

    def new_client(self, token: str | None) -> AsyncWebClient:
        """Client of the SDK that shares the HTTP session. It retries nothing: its callers do."""
        from slack_sdk.web.async_client import AsyncWebClient

        return AsyncWebClient(
            token=token,
            base_url=self._settings.slack_api_url,
            session=self._session,
            retry_handlers=[],
        )

    async def sign_on(self) -> Workspace | None:
        """Identify SLACK_BOT_TOKEN, once; None without one.

        Raises:
            PlatformRefused: the token is no good.
            PlatformError: Slack cannot be reached.
        """
        token = self._settings.slack_bot_token
        if token is None or self._home is not None:
            return self._home
        async with self._signing_on:
            if self._home is None:
                self._home = await self.identify(token.get_secret_value())
        return self._home

    async def identify(self, token: str) -> Workspace:
        """Workspace, bot and scopes of a token. Raises PlatformError."""
        client = self.new_client(token)
        with slack_errors("auth.test"):
            response = await client.auth_test()
        scopes = str(response.headers.get("x-oauth-scopes") or "")
        return Workspace(
            id=str(response.get("team_id") or ""),
            bot_user=str(response.get("user_id") or ""),
            bot_id=str(response.get("bot_id") or ""),
            name=str(response.get("team") or ""),
            url=str(response.get("url") or ""),
            bot_name=str(response.get("user") or ""),
            scopes=tuple(scope.strip() for scope in scopes.split(",") if scope.strip()),
        )

    async def find(self, team_id: str) -> Workspace | None:
        """The installation in a workspace; None if there is none. Raises StoreError, PlatformError."""
        home = await self.sign_on()
        if home is not None and home.id == team_id:
            return home
        return (await self._installed(team_id))[0]

    async def token(self, team_id: str) -> str:
        """The bot token there. Raises PlatformRefused without an installation, PlatformError, StoreError."""
        own, home = self._settings.slack_bot_token, await self.sign_on()
        if own is not None and home is not None and home.id == team_id:
            return own.get_secret_value()
        token = (await self._installed(team_id))[1]
        if not token:
            raise PlatformRefused(
                f"the app is not installed in workspace {team_id}",
                cure="Install it there through /slack/install.",
            )
        return token

    async def client(self, team_id: str) -> AsyncWebClient:
        """A client for that workspace. Raises as `token`."""
        return self.new_client(await self.token(team_id))

    def forget(self, team_id: str) -> None:
        """Drop its cached installation."""
        self._cache.pop(team_id, None)

    async def _installed(self, team_id: str) -> tuple[Workspace | None, str]:
        """The installation and its token. That there is none is not cached: one may be made any moment."""
        if self._installations is None or not team_id:
            return None, ""
        cached = self._cache.get(team_id)
        if cached is not None:
            return cached
        bot = await self._installations.bot(team_id, self.new_client(None))
        if bot is None:
            return None, ""
        workspace = Workspace(
            id=team_id,
            bot_user=bot.bot_user_id or "",
            bot_id=bot.bot_id or "",
            name=bot.team_name or "",
            app_id=bot.app_id or "",
            scopes=tuple(bot.bot_scopes or ()),
        )
        self._cache[team_id] = (workspace, bot.bot_token)
        return workspace, bot.bot_token


def new_session() -> aiohttp.ClientSession:
    """The HTTP session of the process. Its timeout counts: the SDK ignores its own for a given session."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, sock_connect=5)
    return aiohttp.ClientSession(timeout=timeout, trust_env=True)
