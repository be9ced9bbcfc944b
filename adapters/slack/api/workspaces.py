"""The workspaces the app is installed in: who the bot is there, and a client that may speak there."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.slack.api.errors import slack_errors
from bot.errors import PlatformRefused

if TYPE_CHECKING:
    import aiohttp
    from slack_sdk.web.async_client import AsyncWebClient

    from adapters.slack.api.installations import InstallationStore
    from adapters.slack.settings import SlackSettings

CALL_TIMEOUT_S = 15.0
_CACHE_TTL_S = 30.0
"""How long an installation read from the store is believed; rotation and removal come through at the latest then."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """An installation. `url` is the workspace's own address, ending in a slash."""

    id: str
    bot_user: str
    bot_id: str = ""
    name: str = ""
    url: str = ""
    bot_name: str = ""
    app_id: str = ""
    scopes: tuple[str, ...] = ()


class Workspaces:
    """Clients by workspace: one for SLACK_BOT_TOKEN, the others from the installations people made."""

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
        self._known: dict[str, tuple[float, Workspace, str]] = {}
        self._asking = asyncio.Lock()

    @property
    def home(self) -> Workspace | None:
        """The workspace of SLACK_BOT_TOKEN, once Slack said which it is."""
        return self._home

    @property
    def home_token(self) -> str:
        """SLACK_BOT_TOKEN, or `""`."""
        token = self._settings.slack_bot_token
        return token.get_secret_value() if token else ""

    def new_client(self, token: str | None) -> AsyncWebClient:
        """A client that shares our connections. It retries nothing: who calls it decides."""
        from slack_sdk.web.async_client import AsyncWebClient

        return AsyncWebClient(
            token=token,
            base_url=self._settings.slack_api_url,
            session=self._session,
            retry_handlers=[],
        )

    async def sign_on(self) -> Workspace | None:
        """Ask Slack who SLACK_BOT_TOKEN is; None without one. Asked once.

        Raises:
            PlatformRefused: the token is no good.
            PlatformError: Slack could not be asked.
        """
        token = self._settings.slack_bot_token
        if token is None or self._home is not None:
            return self._home
        async with self._asking:
            if self._home is None:
                self._home = await self.identify(token.get_secret_value())
        return self._home

    async def identify(self, token: str) -> Workspace:
        """The workspace and bot of a token, its app and its scopes. Raises PlatformError."""
        client = self.new_client(token)
        with slack_errors("auth.test"):
            answer = await client.auth_test()
        scopes = str(answer.headers.get("x-oauth-scopes") or "")
        return Workspace(
            id=str(answer.get("team_id") or ""),
            bot_user=str(answer.get("user_id") or ""),
            bot_id=str(answer.get("bot_id") or ""),
            name=str(answer.get("team") or ""),
            url=str(answer.get("url") or ""),
            bot_name=str(answer.get("user") or ""),
            scopes=tuple(scope.strip() for scope in scopes.split(",") if scope.strip()),
        )

    async def find(self, team_id: str) -> Workspace | None:
        """The installation in a workspace; None if there is none. Raises StoreError, PlatformError."""
        home = await self.sign_on()
        if home is not None and home.id == team_id:
            return home
        return (await self._installed(team_id))[0]

    async def token(self, team_id: str) -> str:
        """The token to speak with there. Raises PlatformRefused without an installation, PlatformError, StoreError."""
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
        """Read its installation anew the next time."""
        self._known.pop(team_id, None)

    async def _installed(self, team_id: str) -> tuple[Workspace | None, str]:
        """The installation and its token. That there is none is not believed for long: it may be made any moment."""
        if self._installations is None or not team_id:
            return None, ""
        known = self._known.get(team_id)
        if known is not None and known[0] > time.monotonic():
            return known[1:]
        bot = await self._installations.bot(team_id, self.new_client(None))
        if bot is None:
            self._known.pop(team_id, None)
            return None, ""
        team = Workspace(
            id=team_id,
            bot_user=bot.bot_user_id or "",
            bot_id=bot.bot_id or "",
            name=bot.team_name or "",
            app_id=bot.app_id or "",
            scopes=tuple(bot.bot_scopes or ()),
        )
        self._known[team_id] = (time.monotonic() + _CACHE_TTL_S, team, bot.bot_token)
        return team, bot.bot_token


def new_session() -> aiohttp.ClientSession:
    """The one HTTP session: the SDK's own timeout does not count on a session that it is given."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, sock_connect=5)
    return aiohttp.ClientSession(timeout=timeout, trust_env=True)
