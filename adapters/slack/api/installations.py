"""Installation store: encrypted installations of many workspaces, with token rotation.

Token rotation: https://docs.slack.dev/authentication/using-token-rotation
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection
from datetime import datetime
from logging import Logger
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from slack_bolt.error import BoltError
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator

from adapters.slack.api.errors import slack_errors
from bot.errors import PlatformError

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.ports import Vault

log = structlog.get_logger("keepthread.slack")

STATE_TTL_S = 600
ROTATE_BEFORE_MINUTES = 120


class InstallationRefused(BoltError):
    """The app may not be installed there. Its text is shown to the person who tried."""


class InstallationStore(AsyncInstallationStore):
    """Bolt's installation store over the core's vault: one entry a workspace.

    Only bot tokens are stored, none of users. Every call raises StoreError.

    Args:
        workspaces: ids of those that may install the app; empty: any.
    """

    def __init__(
        self, vault: Vault, client_id: str, client_secret: str, workspaces: Collection[str] = ()
    ) -> None:
        self._vault = vault
        self._client_id = client_id
        self._client_secret = client_secret
        self._workspaces = workspaces
        self._rotating = asyncio.Lock()

    @property
    def logger(self) -> Logger:
        return logging.getLogger("slack_bolt.installations")

    async def bot(self, team_id: str, client: AsyncWebClient) -> Bot | None:
        """The bot in a workspace, its token rotated if it expires soon."""
        if not self._may_install(team_id):
            return None
        bot = await self._read(self._name(team_id))
        if bot is None or not _expires_soon(bot):
            return bot
        async with self._rotating:
            return await self._rotated(team_id, client)

    async def async_save(self, installation: Installation) -> None:
        await self.async_save_bot(installation.to_bot())

    async def async_save_bot(self, bot: Bot) -> None:
        """Raises InstallationRefused."""
        if bot.is_enterprise_install or not bot.team_id:
            raise InstallationRefused(
                "installing for a whole organisation is not supported: install in each workspace"
            )
        if not self._may_install(bot.team_id):
            log.warning("installation refused", team=bot.team_id, name=bot.team_name)
            raise InstallationRefused(f"workspace {bot.team_id} is not on this bot's list")
        data = {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in bot.to_dict_for_copying().items()
        }
        await self._vault.set(self._name(bot.team_id), orjson.dumps(data))

    async def async_find_bot(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        is_enterprise_install: bool | None = False,
    ) -> Bot | None:
        return await self._read(self._name(team_id)) if team_id else None

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        bot = await self.async_find_bot(
            enterprise_id=enterprise_id,
            team_id=team_id,
            is_enterprise_install=is_enterprise_install,
        )
        if bot is None:
            return None
        return Installation(user_id=user_id or "", **bot.to_dict_for_copying())

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        await self._vault.delete(self._name(team_id or ""))

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """No-op: installations of users are not stored."""

    async def _rotated(self, team_id: str, client: AsyncWebClient) -> Bot | None:
        bot = await self._read(self._name(team_id))
        if bot is None or not _expires_soon(bot):
            return bot  # rotated by another task meanwhile
        rotator = AsyncTokenRotator(
            client_id=self._client_id, client_secret=self._client_secret, client=client
        )
        try:
            with slack_errors("oauth.v2.access"):
                new = await rotator.perform_bot_token_rotation(
                    bot=bot, minutes_before_expiration=ROTATE_BEFORE_MINUTES
                )
        except PlatformError as error:
            # A refresh token works once: another process may have used it just now. The old token stays
            # valid for a while.
            log.warning("token not rotated", team=team_id, error=error.detail)
            return await self._read(self._name(team_id)) or bot
        if new is None:
            return bot
        await self.async_save_bot(new)
        log.info("token rotated", team=team_id)
        return new

    def _may_install(self, team_id: str) -> bool:
        return not self._workspaces or team_id in self._workspaces

    async def _read(self, name: str) -> Bot | None:
        value = await self._vault.get(name)
        if value is None:
            return None
        data: dict[str, Any] = orjson.loads(value)
        return Bot(**data)

    def _name(self, team_id: str) -> str:
        return f"slack/{self._client_id}/bot/{team_id}"


class OAuthStateStore(AsyncOAuthStateStore):
    """Store of OAuth `state` parameters: each is valid once, for ten minutes, in any process."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @property
    def logger(self) -> Logger:
        return logging.getLogger("slack_bolt.states")

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        state = secrets.token_urlsafe(24)
        await self._vault.set(f"slack/state/{state}", b"issued", ttl_s=STATE_TTL_S)
        return state

    async def async_consume(self, state: str) -> bool:
        name = f"slack/state/{state}"
        known = await self._vault.get(name) is not None
        if known:
            await self._vault.delete(name)
        return known


def _expires_soon(bot: Bot) -> bool:
    """Whether its token expires so soon that it is to be rotated."""
    if bot.bot_token_expires_at is None:
        return False
    return bot.bot_token_expires_at < datetime.now().timestamp() + ROTATE_BEFORE_MINUTES * 60  # noqa: DTZ005  an instant, whatever the zone
