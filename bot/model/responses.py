"""Checks of HTTP responses for hidden errors, before the openai package parses them.

That package follows a redirected POST as a GET, reads errors without limit, and takes any body with the
status 200 for an event stream: what is none has no events in it, and would be an empty answer.

Imported lazily: httpx2 takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx2
import orjson

from bot.errors import ModelSetupError
from bot.logs import redact
from bot.model.refusals.body import ErrorBody, is_html, read_error_body
from bot.model.refusals.kinds import CURE_ADDRESS, Refusal, RefusedResponse

HEADERS = {"Accept-Encoding": "identity"}
"""Streams of small events are not worth compressing, and the hook below reads them as they come."""
MAX_ERROR_BYTES = 256_000
MAX_ANSWER_BYTES = 4_000_000
"""Largest body that is not a stream: an answer in one piece."""
MAX_LAST_LINE_BYTES = 16_000
_TURNS_INTO_GET = (301, 302, 303)
_ENDPOINT_PATH = "/chat/completions"
_DATA = b"data:"


async def check_response(response: httpx2.Response) -> None:
    """Response hook of the client. Raises ModelSetupError after a redirect that would lose the request."""
    if response.status_code in _TURNS_INTO_GET and response.request.method == "POST":
        raise _moved(response)
    if response.headers.get("content-encoding", "identity") != "identity":
        return
    if not isinstance(response.stream, httpx2.AsyncByteStream):
        return
    if response.is_error:
        response.stream = _Bounded(response.stream)
    elif response.request.url.path.endswith(_ENDPOINT_PATH):
        response.stream = _EventStream(response.stream)


def _moved(response: httpx2.Response) -> ModelSetupError:
    target = response.headers.get("location", "")
    try:
        address = str(response.request.url.join(target)) if target else ""
    except (httpx2.InvalidURL, ValueError):
        address = ""
    status = f"HTTP {response.status_code}"
    if not address:
        return ModelSetupError(f"{status}: moved, without a new address", cure=CURE_ADDRESS)
    base, path, _ = address.partition(_ENDPOINT_PATH)
    cure = f"Set OPENAI_BASE_URL to {redact(base)}" if path else CURE_ADDRESS
    return ModelSetupError(f"{status}: moved to {redact(address)[:300]}", cure=cure)


class _Bounded(httpx2.AsyncByteStream):
    """Body of an error, up to MAX_ERROR_BYTES."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ERROR_BYTES
        async for part in self._stream:
            yield part[:left]
            left -= len(part)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


class _EventStream(httpx2.AsyncByteStream):
    """Body with the status 200: passed on as it is once an event is in it.

    A whole answer is passed on as events; anything else ends as RefusedResponse, also an error that stands
    as a line of its own behind the last event.
    """

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        head, is_stream, last = bytearray(), False, b""
        async for part in self._stream:
            if is_stream:
                last = part
                yield part
                continue
            start = max(0, len(head) - len(_DATA))
            head += part
            is_stream = _has_event(head, start)
            if is_stream or len(head) > MAX_ANSWER_BYTES:
                yield bytes(head)
                is_stream, last = True, bytes(head[-MAX_LAST_LINE_BYTES:])
        if not is_stream:
            yield _events_of(bytes(head))
        elif error := _error_line(last):
            raise RefusedResponse(Refusal(error.status or HTTPStatus.INTERNAL_SERVER_ERROR, error))

    async def aclose(self) -> None:
        await self._stream.aclose()


def _has_event(head: bytearray, start: int) -> bool:
    """Whether a line from `start` on begins with `data:`."""
    at = head.find(_DATA, start)
    while at > 0 and head[at - 1] not in b"\r\n":
        at = head.find(_DATA, at + 1)
    return at >= 0


def _error_line(last: bytes) -> ErrorBody | None:
    """Error that an endpoint wrote below its events, without `data:`."""
    line = last.rstrip().rpartition(b"\n")[2]
    if line[:1] not in b"{[" or not line or len(line) > MAX_LAST_LINE_BYTES:
        return None
    body = read_error_body(line.decode(errors="replace"))
    return body if body.text and b"error" in line.lower() else None


def _events_of(body: bytes) -> bytes:
    """Events of an answer in one piece; nothing for comments alone. Raises RefusedResponse."""
    text = body.decode(errors="replace").strip()
    lines = [line for line in text.splitlines() if line and not line.startswith((":", "event:"))]
    if not lines:
        return b""
    if (answer := _whole_answer(body)) is not None:
        return b"data: " + orjson.dumps(answer) + b"\n\ndata: [DONE]\n\n"
    found = read_error_body(text)
    if is_html(text):
        raise ModelSetupError(
            f"a web page instead of an answer: {found.text[:300]}", cure=CURE_ADDRESS
        )
    raise RefusedResponse(Refusal(found.status or HTTPStatus.INTERNAL_SERVER_ERROR, found))


def _whole_answer(body: bytes) -> Mapping[str, Any] | None:
    """The answer of an endpoint that does not stream, as its last chunk."""
    try:
        data = orjson.loads(body)
        (choice, *_) = data["choices"]
        message = choice["message"]
        reason = choice.get("finish_reason")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(message, dict):
        return None
    return {**data, "choices": [{"index": 0, "delta": message, "finish_reason": reason}]}
