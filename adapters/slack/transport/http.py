"""Signed HTTP requests: Slack posts its events to `/slack/events`.

Signatures: https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters.slack.api.payload import UNREADABLE
from adapters.slack.manifest import EVENTS_PATH, INSTALL_PATH, REDIRECT_PATH

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

log = structlog.get_logger("keepthread.slack")

MAX_AGE_S = 300
MAX_BODY_BYTES = 4 * 1024 * 1024


def is_genuine(secret: str, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """Whether Slack signed `body` lately. Compares in constant time."""
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12:
        return False
    if abs(now - int(timestamp)) > MAX_AGE_S:
        return False
    base = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def event_routes(
    app: AsyncApp, secret: str, *, max_body_bytes: int = MAX_BODY_BYTES
) -> list[BaseRoute]:
    """The route for events, buttons, shortcuts and the slash command."""
    from slack_bolt.adapter.starlette.async_handler import (
        to_async_bolt_request,
        to_starlette_response,
    )

    async def events(request: Request) -> Response:
        body = await _body(request, max_body_bytes)
        if body is None:
            return Response("too large", 413)
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        if not is_genuine(secret, timestamp, signature, body, time.time()):
            log.warning("signature invalid or expired", bytes=len(body))
            return Response("not signed by Slack", 401)
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


async def _body(request: Request, max_bytes: int) -> bytes | None:
    """The body, or None if it is longer than `max_bytes`."""
    chunks, total = [], 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_bytes:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
