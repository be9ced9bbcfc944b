"""Checks of tokens, apps and scopes: before the adapter starts, and for `keepthread doctor`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import structlog

from adapters.slack.api.errors import slack_errors
from adapters.slack.manifest import ESSENTIAL, missing
from bot.errors import (
    KeepthreadError,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
    SettingsError,
)
from bot.ports import Check

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspace, Workspaces
    from adapters.slack.settings import SlackSettings
    from adapters.slack.transport.socket_mode import SocketMode

log = structlog.get_logger("keepthread.slack")

REINSTALL = "Add them under OAuth & Permissions (`keepthread slack manifest` lists all) and reinstall the app."

REACH_CURE = "Check the network, the proxy and SLACK_API_URL, and try again in a minute."


async def sign_on(workspaces: Workspaces) -> Workspace | None:
    """Identify SLACK_BOT_TOKEN and check its scopes; None without one.

    Raises:
        PlatformRefused: not a bot token, or an essential scope is missing.
        PlatformError: Slack cannot be reached.
    """
    workspace = await workspaces.sign_on()
    if workspace is None:
        return None
    if not workspace.bot_id and "xoxb-" not in workspaces.home_token:
        raise PlatformRefused(
            "SLACK_BOT_TOKEN is a person's token, not a bot's",
            cure="Use the Bot User OAuth Token, which begins with xoxb-.",
        )
    missing_essential = missing(workspace.scopes, ESSENTIAL)
    if missing_essential:
        raise PlatformRefused(
            f"the bot token lacks the scopes {', '.join(missing_essential)}", cure=REINSTALL
        )
    missing_any = missing(workspace.scopes)
    if missing_any:
        log.warning("scopes missing, some functions will fail", scopes=", ".join(missing_any))
    return workspace


async def check_same_app(workspaces: Workspaces, settings: SlackSettings) -> None:
    """Check that both tokens belong to the same app. Raises PlatformRefused."""
    app_of_socket, home = app_of(settings), workspaces.home
    if not app_of_socket or home is None or not home.bot_id:
        return
    client = await workspaces.client(home.id)
    try:
        with slack_errors("bots.info"):
            response = await client.bots_info(bot=home.bot_id)
    except PlatformError as error:
        log.info("app of bot token unknown", error=repr(error))
        return
    app_of_bot_token = str((response.get("bot") or {}).get("app_id") or "")
    if app_of_bot_token and app_of_bot_token != app_of_socket:
        raise PlatformRefused(
            f"SLACK_BOT_TOKEN is of app {app_of_bot_token}, SLACK_APP_TOKEN of app {app_of_socket}",
            cure="Copy both tokens from the same app at api.slack.com/apps.",
        )


def app_of(settings: SlackSettings) -> str:
    """The app id inside an app-level token (`xapp-1-A0123-…`), or `""`."""
    token = settings.slack_app_token
    found = re.match(r"xapp-\d+-(A[A-Z0-9]+)-", token.get_secret_value()) if token else None
    return found[1] if found else ""


async def check(
    settings: SlackSettings, workspaces: Workspaces, sockets: SocketMode | None, has_key: bool
) -> list[Check]:
    """Doctor's lines for Slack."""
    try:
        settings.require_complete()
    except SettingsError as error:
        return [Check("slack", "failed", str(error), error.cure)]
    checks = [await _check_token(workspaces)] if settings.slack_bot_token else []
    if sockets is not None:
        checks.append(await _check_sockets(sockets, workspaces, settings))
    else:
        checks.append(Check("slack events", "ok", "signed HTTP at /slack/events"))
    if settings.multi_workspace:
        checks.append(
            Check("slack installations", "ok", "at /slack/install")
            if has_key
            else Check(
                "slack installations",
                "failed",
                "tokens of other workspaces cannot be stored",
                "Set BOT_ENCRYPTION_KEY to a long random text.",
            )
        )
    return checks


async def _check_token(workspaces: Workspaces) -> Check:
    try:
        workspace = await sign_on(workspaces)
    except KeepthreadError as error:
        return Check("slack token", "failed", str(error), _cure(error))
    if workspace is None:
        return Check("slack token", "off")
    where = f"@{workspace.bot_name} in {workspace.name} ({workspace.id})"
    missing_any = missing(workspace.scopes)
    if missing_any:
        return Check(
            "slack token", "warning", f"{where}; lacks {', '.join(missing_any)}", REINSTALL
        )
    return Check("slack token", "ok", where)


async def _check_sockets(
    sockets: SocketMode, workspaces: Workspaces, settings: SlackSettings
) -> Check:
    try:
        await sockets.request_url()
        await check_same_app(workspaces, settings)
    except KeepthreadError as error:
        return Check("slack events", "failed", str(error), _cure(error))
    return Check("slack events", "ok", "Socket Mode")


def _cure(error: KeepthreadError) -> str:
    """The error's cure; for an unreachable Slack, the settings to check."""
    is_unreachable = isinstance(error, PlatformBusy | PlatformUnreachable)
    return error.cure or (REACH_CURE if is_unreachable else "")
