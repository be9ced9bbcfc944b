"""Translation of exceptions of openai, LangChain and httpx2 to ModelError.

Sources: https://platform.openai.com/docs/guides/error-codes; tests/bot/model/test_errors.py proves it complete.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache

from bot.errors import (
    AnswerCut,
    AnswerFiltered,
    ModelBroken,
    ModelBusy,
    ModelError,
    ModelKeyRefused,
    ModelMissing,
    ModelQuotaSpent,
    ModelTimeout,
    ModelUnreachable,
    PromptRefused,
    PromptTooLong,
)
from bot.logs import REDACTED, redact

_CONTEXT_MESSAGE = re.compile(
    r"maximum context length|context[ _](length|size|window)|too many tokens|prompt is too long",
    re.I,
)
_CONTEXT_CODES = ("context_length_exceeded", "exceed_context_size_error")
_QUOTA_CODES = ("insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low")
CURE_KEY = "Check OPENAI_API_KEY, and that it may use BOT_MODEL."
CURE_MODEL = (
    "Set BOT_MODEL to a model that exists at the endpoint; "
    "OPENAI_BASE_URL has to lead there up to and with /v1."
)
CURE_REACH = "Check OPENAI_BASE_URL and the network."
CURE_QUOTA = "Add credit at the provider, or set BOT_FALLBACK_MODEL."

ErrorKind = tuple[type[ModelError], str]
"""Our error class, and its cure."""


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
    import openai

    if isinstance(error, ModelError):
        return error
    status, code, wait_s = None, "", None
    if isinstance(error, openai.APIError):
        code = str(error.code or error.type or "")
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        wait_s = _retry_after_s(error.response.headers)
    elif type(error) is openai.APIError:  # an `error` event within the stream
        status = _status_of(code)
    error_class, cure = _by_status(status, code) if status else _by_class(error)
    if _is_too_long(error, code, status):
        error_class, cure = PromptTooLong, ""
    return error_class(
        _detail(error, key), cure=cure, retry_after_s=wait_s if error_class is ModelBusy else None
    )


def _by_class(error: BaseException) -> ErrorKind:
    known = error_table()
    return next(known[cls] for cls in type(error).__mro__ if cls in known)


def _by_status(status: int, code: str) -> ErrorKind:
    if code in _QUOTA_CODES or status == 402:
        return ModelQuotaSpent, CURE_QUOTA
    if status in (401, 403):
        return ModelKeyRefused, CURE_KEY
    if status == 404:
        return ModelMissing, CURE_MODEL
    if status in (408, 504):
        return ModelTimeout, ""
    if status in (429, 502, 503, 529):
        return ModelBusy, ""
    if status >= 500 or status == 409:
        return ModelBroken, ""
    if "content_filter" in code or "content_policy" in code:
        return AnswerFiltered, ""
    return (PromptTooLong if status == 413 else PromptRefused), ""


def _status_of(code: str) -> int:
    """HTTP status of an error event. Some endpoints send it as the code (openrouter.ai/docs/api-reference/errors)."""
    if code.isdigit():
        return int(code)
    if "content_filter" in code or "content_policy" in code:
        return 400
    return 429 if "rate_limit" in code else 500


def _is_too_long(error: BaseException, code: str, status: int | None) -> bool:
    """Whether the prompt exceeds the context: endpoints share no code for it, and LangChain knows only some."""
    from langchain_core.exceptions import ContextOverflowError

    if isinstance(error, ContextOverflowError) or code in _CONTEXT_CODES:
        return True
    return status in (400, 413, 500) and bool(_CONTEXT_MESSAGE.search(str(error)))


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: from `Retry-After`, a number or a date (RFC 9110, 10.2.3), or OpenAI's `retry-after-ms`."""
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


def _detail(error: BaseException, key: str) -> str:
    cause = error.__cause__
    text = str(error) or type(error).__name__
    if cause is not None and str(cause) and str(cause) not in text:
        text = f"{text} ({type(cause).__name__}: {cause})"
    if len(key) >= 8:  # a shorter key is no secret, and may be part of other words
        text = text.replace(key, REDACTED)
    return redact(text)[:500]
