"""Signed HTTP requests: Slack posts its events to `/slack/events`.

Signatures: https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters.slack.api.payload import UNREADABLE
from adapters.slack.manifest import EVENTS_PATH, INSTALL_PATH, REDIRECT_PATH
from bot.cache import RepeatCounter

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

log = structlog.get_logger("keepthread.slack")

MAX_AGE_S = 300
SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
REPORT_EVERY_S = 60.0


def may_be_genuine(timestamp: str, signature: str, now: float) -> bool:
    """Whether the headers are such as Slack sent lately: looked at before a body is read."""
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12:
        return False
    return abs(now - int(timestamp)) <= MAX_AGE_S and bool(SIGNATURE.fullmatch(signature))


def is_genuine(secret: str, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """Whether Slack signed `body` lately. Compares in constant time."""
    if not may_be_genuine(timestamp, signature, now):
        return False
    base = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def event_routes(app: AsyncApp, secret: str) -> list[BaseRoute]:
    """The route for events, buttons, shortcuts and the slash command."""
    from slack_bolt.adapter.starlette.async_handler import (
        to_async_bolt_request,
        to_starlette_response,
    )

    refusals = RepeatCounter(REPORT_EVERY_S)

    def refuse(size: int) -> Response:
        if times := refusals.count("signature"):
            log.warning("signature invalid or expired", bytes=size, times=times)
        return Response("not signed by Slack", 401)

    async def events(request: Request) -> Response:
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        if not may_be_genuine(timestamp, signature, time.time()):
            return refuse(0)
        body = await request.body()
        if not is_genuine(secret, timestamp, signature, body, time.time()):
            return refuse(len(body))
        request.state.is_genuine = True
        try:
            bolt_request = to_async_bolt_request(request, body)
        except UNREADABLE as error:
            # Signed, but of no shape that Slack sends: sent again, it would be the same.
            log.error("payload unreadable", error=type(error).__name__, bytes=len(body))
            return Response("")
        return to_starlette_response(await app.async_dispatch(bolt_request))

    return [Route(EVENTS_PATH, events, methods=["POST"])]


def install_routes(app: AsyncApp) -> list[BaseRoute]:
    """Routes to install the app into a workspace, and for Slack's redirect back."""
    from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler

    handler = AsyncSlackRequestHandler(app)
    return [Route(path, handler.handle, methods=["GET"]) for path in (INSTALL_PATH, REDIRECT_PATH)]
