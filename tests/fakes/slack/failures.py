"""Failures that a test chooses for calls of the loopback Slack."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web


@dataclass(slots=True)
class Failure:
    """Failure of the next `times` calls of `method`, after `skip` good ones.

    Attributes:
        status: HTTP status of the response; `error`: its code, or "" for a page that is no JSON.
        retry_after: its Retry-After header, in seconds.
        after: carry the call out, then lose the response.
        cut: break the connection without a response.
        delay_s: wait before the response, or the lack of it.
    """

    method: str
    status: int = 200
    error: str = ""
    retry_after: float | None = None
    times: int = 1
    after: bool = False
    delay_s: float = 0
    cut: bool = False
    skip: int = 0


def take_failure(failures: list[Failure], method: str) -> Failure | None:
    """The failure of this call of `method`, counted; None if it is to succeed."""
    for failure in failures:
        if failure.method != method:
            continue
        if failure.skip:
            failure.skip -= 1
            return None
        failure.times -= 1
        if not failure.times:
            failures.remove(failure)
        return failure
    return None


def failed_response(request: web.Request, failure: Failure) -> web.StreamResponse:
    if failure.cut:
        cut_connection(request)
    headers = {}
    if failure.retry_after is not None:
        headers["Retry-After"] = str(failure.retry_after)
    if failure.error:
        body = {"ok": False, "error": failure.error}
        return web.json_response(body, status=failure.status, headers=headers)
    if failure.status == 429:
        return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
    page = "<html><title>Server Error</title></html>"
    return web.Response(text=page, status=failure.status, content_type="text/html", headers=headers)


def cut_connection(request: web.Request) -> None:
    """Break the connection without a response."""
    if request.transport is not None:
        request.transport.abort()
