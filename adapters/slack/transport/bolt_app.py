"""Bolt app: one middleware that dispatches every payload before it is acknowledged.

Bolt acknowledges before a listener runs, and answers 200 though it failed; a middleware runs before. So there
are no listeners: a payload that was dispatched is acknowledged, any other is sent again by Slack. The middleware
runs before Bolt's authorization, which calls Slack on every event and drops events during a 429.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.oauth.async_callback_options import (
    AsyncCallbackOptions,
    AsyncFailureArgs,
    AsyncSuccessArgs,
)
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.response import BoltResponse

from adapters.slack.api.installations import InstallationRefused, InstallationStore, OAuthStateStore
from adapters.slack.api.payload import UNREADABLE, Json, get_object
from adapters.slack.inbound.parse import installed_team
from adapters.slack.manifest import INSTALL_PATH, REDIRECT_PATH, SCOPES
from bot.errors import KeepthreadError, PlatformError, StoreError

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspaces
    from adapters.slack.inbound.dispatcher import Dispatcher
    from adapters.slack.settings import SlackSettings
    from bot.ports import Vault

log = structlog.get_logger("keepthread.slack")

Next = Callable[[], Awaitable[BoltResponse | None]]

_bolt_log = logging.getLogger("slack_bolt.keepthread")


class DispatchMiddleware(AsyncMiddleware):
    """Dispatches every payload and ends its processing."""

    def __init__(self, workspaces: Workspaces, dispatcher: Dispatcher) -> None:
        self._workspaces = workspaces
        self._dispatcher = dispatcher

    async def async_process(
        self,
        *,
        req: AsyncBoltRequest,
        resp: BoltResponse,
        next: Next,  # noqa: A002  Bolt's name
    ) -> BoltResponse | None:
        if req.body.get("type") == "url_verification":
            await next()
            return None
        _note_retry(req)
        try:
            response = await self._dispatch(req.body)
        except StoreError as error:
            log.error("event not stored, Slack will send it again", error=repr(error))
            return BoltResponse(status=503, body="")
        except KeepthreadError as error:
            # It would fail the same way again: better to drop it once, with a line in the log, than four times.
            log.error("event dropped", error=repr(error), cure=error.cure)
            return BoltResponse(status=200, body="")
        return BoltResponse(status=200, body=response or "")

    async def _dispatch(self, body: Json) -> dict[str, Any] | None:
        """See `Dispatcher.dispatch`; payloads of workspaces without the app are ignored."""
        id_ = installed_team(body)
        try:
            workspace = await self._workspaces.find(id_)
        except PlatformError as error:
            raise StoreError(f"workspace {id_!r} is unknown: {error}") from error
        if workspace is None:
            log.warning("event of a workspace without the app", team=id_)
            return None
        return await self._dispatcher.dispatch(body, workspace.bot_user)


def build_app(
    settings: SlackSettings,
    workspaces: Workspaces,
    dispatcher: Dispatcher,
    vault: Vault,
    installations: InstallationStore | None,
) -> AsyncApp:
    """The Bolt app; `installations` only if other workspaces may install it."""
    flow = _oauth_flow(settings, workspaces, vault, installations) if installations else None
    level = _bolt_log.level
    _bolt_log.setLevel(logging.ERROR)  # it warns that `authorize` overrides a token, as intended
    try:
        app = AsyncApp(
            name="keepthread",
            logger=_bolt_log,
            signing_secret="",
            client=workspaces.new_client(None),
            authorize=None if flow else _refuse_to_authorize,
            before_authorize=DispatchMiddleware(workspaces, dispatcher),
            oauth_flow=flow,
            request_verification_enabled=False,  # adapters/slack/transport/http.py did it, before parsing
            ssl_check_enabled=False,
            ignoring_self_events_enabled=False,  # it would hide deletions of the bot's answers
            attaching_function_token_enabled=False,
        )
    finally:
        _bolt_log.setLevel(level)
    return app


async def dispatch_envelope(app: AsyncApp, envelope: Mapping[str, Any]) -> dict[str, Any] | None:
    """Dispatch an envelope of Socket Mode. What to acknowledge it with; raises StoreError: not stored."""
    headers: dict[str, Any] = {}
    if envelope.get("retry_attempt") is not None:
        headers["x-slack-retry-num"] = str(envelope["retry_attempt"])
        headers["x-slack-retry-reason"] = str(envelope.get("retry_reason") or "")
    try:
        request = AsyncBoltRequest(
            mode="socket_mode", body=dict(get_object(envelope, "payload")), headers=headers
        )
    except UNREADABLE as error:  # sent again, it would be the same
        log.error("payload unreadable", error=type(error).__name__)
        return None
    response = await app.async_dispatch(request)
    if response.status != 200:
        raise StoreError(f"answered {response.status}")
    if not response.body:
        return None
    import orjson

    body: dict[str, Any] = orjson.loads(response.body)
    return body


async def _refuse_to_authorize(**_: Any) -> AuthorizeResult:
    """Bolt's authorization, which is never reached: `DispatchMiddleware` ends each request before it."""
    raise PlatformError("Bolt is not to act by itself")


def _note_retry(req: AsyncBoltRequest) -> None:
    attempt = (req.headers.get("x-slack-retry-num") or ["0"])[0]
    if (
        attempt.isascii() and attempt.isdigit() and int(attempt) > 0
    ):  # a first delivery through Socket Mode says 0
        reason = (req.headers.get("x-slack-retry-reason") or [""])[0]
        log.info(
            "event sent again",
            attempt=int(attempt),
            reason=reason,
            event_id=req.body.get("event_id"),
        )


def _oauth_flow(
    settings: SlackSettings, workspaces: Workspaces, vault: Vault, installations: InstallationStore
) -> AsyncOAuthFlow:
    secret = settings.slack_client_secret
    api = urlsplit(settings.slack_api_url)
    return AsyncOAuthFlow(
        client=workspaces.new_client(None),
        logger=_bolt_log,
        settings=AsyncOAuthSettings(
            client_id=settings.slack_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            scopes=list(SCOPES),
            user_scopes=[],
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            authorization_url=f"{api.scheme}://{api.netloc}/oauth/v2/authorize",
            callback_options=AsyncCallbackOptions(success=_installed, failure=_not_installed),
            installation_store=installations,
            installation_store_bot_only=True,
            state_store=OAuthStateStore(vault),
        ),
    )


async def _installed(args: AsyncSuccessArgs) -> BoltResponse:
    return await args.default.success(args)


async def _not_installed(args: AsyncFailureArgs) -> BoltResponse:
    """Bolt's page, which names the reason."""
    if isinstance(args.error, InstallationRefused):
        args.reason, args.suggested_status_code = str(args.error), 403
    return await args.default.failure(args)
