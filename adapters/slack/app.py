"""The Bolt app: authorization from what we know, then one middleware that takes everything in before the ack.

Bolt acknowledges before a listener runs, and answers 200 though it failed; a middleware runs before. So there
are no listeners: what the middleware took in is acknowledged, what it could not take in is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import structlog
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.response import BoltResponse

from adapters.slack.http import INSTALL_PATH, REDIRECT_PATH
from adapters.slack.installations import Installations, States
from adapters.slack.manifest import SCOPES
from adapters.slack.parse import installed_team
from bot.errors import KeepthreadError, StoreError

if TYPE_CHECKING:
    from adapters.slack.intake import Intake
    from adapters.slack.settings import SlackSettings
    from adapters.slack.teams import Teams
    from bot.ports import Vault

log = structlog.get_logger("keepthread.slack")

_bolt_log = logging.getLogger("slack_bolt.keepthread")


class _Authorize(AsyncAuthorize):
    """Who the bot is in the workspace of a request, from memory: Bolt's own asks Slack, and loses events on 429."""

    def __init__(self, teams: Teams) -> None:
        self._teams = teams

    async def __call__(
        self,
        *,
        context: AsyncBoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        **_: Any,
    ) -> AuthorizeResult | None:
        team = await self._teams.team(context.get("installed_team") or team_id or "")
        if team is None:
            return None
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team.id,
            bot_user_id=team.bot_user,
            bot_id=team.bot_id,
            bot_token=await self._teams.token(team.id),
        )


def build_app(
    settings: SlackSettings,
    teams: Teams,
    intake: Intake,
    vault: Vault,
    installations: Installations | None,
) -> AsyncApp:
    """The app; `installations` only if other workspaces may install it."""

    async def note_team(req: AsyncBoltRequest, context: AsyncBoltContext, next: Any) -> Any:  # noqa: A002  Bolt's name
        """Which installation is meant: in shared channels Bolt takes the speaker's workspace."""
        team_id = context["installed_team"] = installed_team(req.body)
        if team_id and await teams.team(team_id) is None:
            log.warning("an event of a workspace where the app is not installed", team=team_id)
            return BoltResponse(status=200, body="")  # Slack would only send it again
        return await next()

    flow = _oauth_flow(settings, teams, vault, installations) if installations else None
    level = _bolt_log.level
    _bolt_log.setLevel(logging.ERROR)  # it warns that `authorize` wins over a token, which is meant
    try:
        app = AsyncApp(
            name="keepthread",
            logger=_bolt_log,
            signing_secret="",
            client=teams.new_client(None),
            authorize=cast(Any, _Authorize(teams)),  # Bolt's hint knows plain functions only
            before_authorize=note_team,
            oauth_flow=flow,
            request_verification_enabled=False,  # adapters/slack/http.py did it, before parsing
            ssl_check_enabled=False,
            ignoring_self_events_enabled=False,  # it would hide that an answer of ours was deleted
            attaching_function_token_enabled=False,
        )
    finally:
        _bolt_log.setLevel(level)

    @app.middleware
    async def take_in(req: AsyncBoltRequest, context: AsyncBoltContext) -> BoltResponse:
        """Everything ends here, so that nothing is left to be sent twice."""
        _note_retry(req)
        try:
            answer = await intake.take(req.body, context.bot_user_id or "")
        except StoreError as error:
            log.error("not taken in; Slack will send it again", error=repr(error))
            return BoltResponse(status=503, body="")
        except KeepthreadError as error:
            # It would fail the same way again: better one message lost and logged than four.
            log.error("could not be taken in", error=repr(error), cure=error.cure)
            return BoltResponse(status=200, body="")
        return BoltResponse(status=200, body=answer or "")

    return app


async def dispatch(app: AsyncApp, envelope: Mapping[str, Any]) -> dict[str, Any] | None:
    """Take in an envelope of Socket Mode. What to acknowledge with; raises StoreError: not taken in."""
    headers: dict[str, Any] = {}
    if envelope.get("retry_attempt") is not None:
        headers["x-slack-retry-num"] = str(envelope["retry_attempt"])
        headers["x-slack-retry-reason"] = str(envelope.get("retry_reason") or "")
    request = AsyncBoltRequest(
        mode="socket_mode", body=dict(envelope.get("payload") or {}), headers=headers
    )
    response = await app.async_dispatch(request)
    if response.status != 200:
        raise StoreError(f"answered {response.status}")
    if not response.body:
        return None
    import orjson

    body: dict[str, Any] = orjson.loads(response.body)
    return body


def _note_retry(req: AsyncBoltRequest) -> None:
    attempt = (req.headers.get("x-slack-retry-num") or ["0"])[0]
    if attempt.isdigit() and int(attempt) > 0:  # a first delivery through Socket Mode says 0
        reason = (req.headers.get("x-slack-retry-reason") or [""])[0]
        log.info(
            "Slack sends this again",
            attempt=int(attempt),
            reason=reason,
            event_id=req.body.get("event_id"),
        )


def _oauth_flow(
    settings: SlackSettings, teams: Teams, vault: Vault, installations: Installations
) -> AsyncOAuthFlow:
    secret = settings.slack_client_secret
    return AsyncOAuthFlow(
        client=teams.new_client(None),
        logger=_bolt_log,
        settings=AsyncOAuthSettings(
            client_id=settings.slack_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            scopes=list(SCOPES),
            user_scopes=[],
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            installation_store=installations,
            installation_store_bot_only=True,
            state_store=States(vault),
        ),
    )
