"""Protocol of one HTTP connection: uvicorn's, which tells `OpenConnections` whom it waits for."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.service.http.connections import OpenConnections

_log = logging.getLogger("uvicorn.error.connections")
_log.setLevel(logging.ERROR)  # uvicorn warns of each request that is not HTTP

GENUINE = "is_genuine"
"""Name in `request.state` that adapters set to True once a request has proved to be their platform's."""

Phase = Literal["header", "body", "answer", "unread"]
"""The peer is to send a header, or a body; the application is to answer; the peer is to read."""


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 connection within the limits of `connections`."""

    def __init__(self, connections: OpenConnections, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self.logger = _log
        self.held_bytes = 0
        self.is_trusted = False
        self._connections = connections
        self._request_bytes = 0
        self._phase: Phase = "header"
        self._is_unread = False
        self._is_aborted = False
        connections.add(self)

    def abort(self) -> None:
        self._is_aborted = True
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if self._is_aborted:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connections.remove(self)

    def data_received(self, data: bytes) -> None:
        self._request_bytes += len(data)
        if self._request_bytes > self._connections.limits.max_request_bytes:
            self._connections.close(self, "request too large")
        elif self._phase != "body" or not self._is_answered():
            self._connections.hold(self, self.held_bytes + len(data))
        if self._is_aborted:
            return
        super().data_received(data)
        self._update()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._is_unread = True
        self._update()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_unread = False
        self._update()

    def on_response_complete(self) -> None:
        self.is_trusted = self.is_trusted or bool(self.scope["state"].get(GENUINE))
        self._connections.hold(
            self, len(self.conn.trailing_data[0])
        )  # the rest of a body is dropped
        self._update()
        super().on_response_complete()  # begins the next request, if it is here
        self._update()

    def _update(self) -> None:
        """Tell `connections` when the phase has changed; a phase has its own time limit."""
        phase = self._current_phase()
        if phase == self._phase:
            return
        self._phase = phase
        if phase == "answer":
            self._connections.answer(self)
        else:
            self._connections.wait(self)
        if phase == "header":
            self._request_bytes = len(self.conn.trailing_data[0])

    def _current_phase(self) -> Phase:
        if self._is_unread:
            return "unread"
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        if self.cycle is None or self._is_answered():
            return "header"
        return "answer"

    def _is_answered(self) -> bool:
        """Whether the last request has its whole response; more of its body may still come."""
        return self.cycle is not None and self.cycle.response_complete
