"""Exceptions of openai, LangChain and httpx2 as ModelError; error codes are in `refusals/kinds.py`.

Exceptions are listed here, refusals in bot/model/refusals/kinds.py. tests/bot/model/test_errors.py proves the
table complete.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

from bot.errors import (
    AnswerCut,
    AnswerFiltered,
    ModelBroken,
    ModelBusy,
    ModelError,
    ModelKeyRefused,
    ModelMissing,
    ModelTimeout,
    ModelUnreachable,
    PromptRefused,
    PromptTooLong,
)
from bot.logs import REDACTED, redact
from bot.model.refusals.body import MAX_BODY_CHARS, ErrorBody, read_error_body
from bot.model.refusals.kinds import (
    CURE_KEY,
    CURE_MODEL,
    ErrorKind,
    Refusal,
    RefusedResponse,
    kind_of,
)
from bot.text import strip_controls

CURE_REACH = "Check OPENAI_BASE_URL and the network."
MAX_DETAIL_CHARS = 500
MAX_CAUSES = 6


@cache
def error_table() -> Mapping[type[BaseException], ErrorKind]:
    """Error class and cure by exception class, for exceptions without an HTTP status.

    An unlisted class counts as its nearest listed ancestor.

    Built at the first use: importing these libraries takes a second.
    """
    import httpx2
    import openai
    from langchain_core import exceptions as langchain

    unreachable = (ModelUnreachable, CURE_REACH)
    return {
        openai.APIConnectionError: unreachable,
        openai.APITimeoutError: (ModelTimeout, ""),
        openai.ContentFilterFinishReasonError: (AnswerFiltered, ""),
        openai.LengthFinishReasonError: (AnswerCut, ""),
        langchain.ContextOverflowError: (PromptTooLong, ""),
        langchain.ModelAuthenticationError: (ModelKeyRefused, CURE_KEY),
        langchain.ModelConnectionError: unreachable,
        langchain.ModelInvalidRequestError: (PromptRefused, ""),
        langchain.ModelNotFoundError: (ModelMissing, CURE_MODEL),
        langchain.ModelPermissionDeniedError: (ModelKeyRefused, CURE_KEY),
        langchain.ModelRateLimitError: (ModelBusy, ""),
        langchain.ModelTimeoutError: (ModelTimeout, ""),
        httpx2.InvalidURL: unreachable,
        httpx2.TimeoutException: (ModelTimeout, ""),
        httpx2.TransportError: unreachable,
        TimeoutError: (ModelTimeout, ""),
        ConnectionError: unreachable,
        # Also a chunk that is no JSON, and exceptions of later versions of these libraries.
        BaseException: (ModelBroken, ""),
    }


def translate_error(error: BaseException, key: str = "") -> ModelError:
    """The ModelError for an exception of a model call. Its detail holds neither `key` nor another token."""
    if isinstance(error, ModelError):
        return error
    if isinstance(
        error.__cause__, ModelError
    ):  # raised within the library: see bot/model/responses.py
        return error.__cause__
    refusal = refusal_of(error)
    if refusal is None:
        error_class, cure = _by_class(error)
        return error_class(_redacted(_words_of(error), key), cure=cure)
    error_class, cure = kind_of(refusal)
    if _is_overflow(error):
        error_class, cure = PromptTooLong, ""
    wait_s = _retry_after_s(error) if error_class is ModelBusy else None
    text = refusal.body.text or f"HTTP {refusal.status}, without words"
    return error_class(_redacted(text, key), cure=cure, retry_after_s=wait_s)


def refusal_of(error: BaseException) -> Refusal | None:
    """The refusal that an exception stands for: an HTTP error, or an error event within the stream."""
    import openai

    for cause in _causes(error):
        if isinstance(cause, RefusedResponse):
            return cause.refusal
    if isinstance(error, json.JSONDecodeError) and error.doc.strip():  # an event that is no JSON
        return Refusal(500, read_error_body(error.doc[:MAX_BODY_CHARS]))
    if isinstance(error, openai.APIStatusError):
        return Refusal(error.status_code, _body_of(error))
    if type(error) is openai.APIError:
        body = _body_of(error)
        return Refusal(body.status or _status_of(body.codes), body)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from."""
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def _body_of(error: Any) -> ErrorBody:
    """The body as it was received; what the library made of it where that cannot be read."""
    response = getattr(error, "response", None)
    if response is not None and response.is_stream_consumed and response.content:
        return read_error_body(response.text[:MAX_BODY_CHARS])
    body = read_error_body(getattr(error, "body", None))
    if body.text or str(error).startswith("Error code: "):  # which is no more than the status
        return body
    return replace(body, text=str(error))


def _by_class(error: BaseException) -> ErrorKind:
    known = error_table()
    return next(known[cls] for cls in type(error).__mro__ if cls in known)


def _status_of(codes: tuple[str, ...]) -> int:
    """HTTP status of an error event without one."""
    for code in codes:
        if "content_filter" in code or "content_policy" in code or "invalid" in code:
            return 400
        if "rate_limit" in code or "overloaded" in code:
            return 429
    return 500


def _is_overflow(error: BaseException) -> bool:
    """Whether LangChain recognised a prompt that is too long."""
    from langchain_core.exceptions import ContextOverflowError

    return isinstance(error, ContextOverflowError)


def _retry_after_s(error: BaseException) -> float | None:
    """Seconds to wait: from `Retry-After`, a number or a date (RFC 9110, 10.2.3), or OpenAI's `retry-after-ms`."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            wait_s = float(text) * scale
        except ValueError:
            try:
                at = parsedate_to_datetime(text)
            except ValueError:
                continue
            wait_s = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        if math.isfinite(wait_s):
            return max(0.0, wait_s)
    return None


def _words_of(error: BaseException) -> str:
    cause = error.__cause__
    text = str(error) or type(error).__name__
    if cause is not None and str(cause) and str(cause) not in text:
        text = f"{text} ({type(cause).__name__}: {cause})"
    return text


def _redacted(text: str, key: str) -> str:
    if len(key) >= 8:  # a shorter key is no secret, and may be part of other words
        text = text.replace(key, REDACTED)
    return strip_controls(redact(text[: 4 * MAX_DETAIL_CHARS]))[:MAX_DETAIL_CHARS]
