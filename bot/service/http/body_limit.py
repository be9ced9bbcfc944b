"""Limit on request bodies: 413 for a longer one, before it is read where its length is stated."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_DIGITS = 12


class BodyLimit:
    """ASGI middleware: answers 413 to a body of more than `max_bytes`, and ends where the peer has gone."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or len(stated) > MAX_DIGITS or int(stated) > self._max_bytes:
            refusal = PlainTextResponse("too large", 413)
            return await refusal(scope, receive, send)
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, "too large")
            return message

        try:
            await self._app(scope, receive_some, send)
        except ClientDisconnect:
            return None
