"""One table from what openai, LangChain and httpx2 raise to our own errors.

Sources: https://platform.openai.com/docs/guides/error-codes; tests/core/test_model_failures.py proves it complete.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from bot.errors import (
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

if TYPE_CHECKING:
    import openai

_TOO_LONG = re.compile(
    r"maximum context length|context[ _](length|size|window)|too many tokens|prompt is too long",
    re.I,
)
_SPENT = ("insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low")
CURE_KEY = "Check OPENAI_API_KEY, and that it may use BOT_MODEL."
CURE_MODEL = "Set BOT_MODEL to a model that exists at the endpoint."
CURE_REACH = "Check OPENAI_BASE_URL and the network."
CURE_QUOTA = "Add credit at the provider, or set BOT_FALLBACK_MODEL."


def translate(error: BaseException) -> ModelError:
    """Our error for whatever a model call raised. Never holds a key: only status, code and message."""
    import httpx2
    import openai
    from langchain_core.exceptions import (
        ContextOverflowError,
        ModelAuthenticationError,
        ModelConnectionError,
        ModelInvalidRequestError,
        ModelNotFoundError,
        ModelPermissionDeniedError,
        ModelRateLimitError,
        ModelTimeoutError,
    )
    from langchain_core.exceptions import ModelError as LangChainModelError

    if isinstance(error, ModelError):
        return error
    detail = _detail(error)
    if isinstance(error, ContextOverflowError) or _is_too_long(error):
        return PromptTooLong(detail)
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, detail)
    timeouts = (TimeoutError, openai.APITimeoutError, ModelTimeoutError, httpx2.TimeoutException)
    if isinstance(error, timeouts):
        return ModelTimeout(detail)
    unreachable = (
        openai.APIConnectionError,
        ModelConnectionError,
        httpx2.TransportError,
        ConnectionError,
    )
    if isinstance(error, unreachable):
        return ModelUnreachable(detail, cure=CURE_REACH)
    if isinstance(error, ModelAuthenticationError | ModelPermissionDeniedError):
        return ModelKeyRefused(detail, cure=CURE_KEY)
    if isinstance(error, ModelNotFoundError):
        return ModelMissing(detail, cure=CURE_MODEL)
    if isinstance(error, ModelRateLimitError):
        return ModelBusy(detail)
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return AnswerFiltered(detail)
    if isinstance(error, ModelInvalidRequestError | httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return PromptRefused(detail)
    # An `error` event within a stream, a chunk that is no JSON, and what these libraries may yet add.
    known = (
        openai.OpenAIError,
        LangChainModelError,
        httpx2.HTTPError,
        json.JSONDecodeError,
        ValueError,
    )
    if isinstance(error, known):
        return ModelBroken(detail)
    return ModelBroken(detail)


def _by_status(error: openai.APIStatusError, detail: str) -> ModelError:
    status, code = error.status_code, str(error.code or error.type or "")
    if code in _SPENT or status == 402:
        return ModelQuotaSpent(detail, cure=CURE_QUOTA)
    if status == 429:
        return ModelBusy(detail, retry_after_s=_retry_after_s(error.response.headers))
    if status in (401, 403):
        return ModelKeyRefused(detail, cure=CURE_KEY)
    if status == 404:
        return ModelMissing(detail, cure=CURE_MODEL)
    if status in (408, 504):
        return ModelTimeout(detail)
    if status in (502, 503, 529):
        return ModelBusy(detail, retry_after_s=_retry_after_s(error.response.headers))
    if status >= 500 or status == 409:
        return ModelBroken(detail)
    if "content_filter" in code or "content_policy" in code:
        return AnswerFiltered(detail)
    if status == 413:
        return PromptTooLong(detail)
    return PromptRefused(detail)


def _is_too_long(error: BaseException) -> bool:
    import openai

    if not isinstance(error, openai.APIError):
        return False
    code = str(getattr(error, "code", "") or getattr(error, "type", "") or "")
    if code in ("context_length_exceeded", "exceed_context_size_error"):
        return True
    status = getattr(error, "status_code", None)
    return status in (None, 400, 413) and bool(_TOO_LONG.search(str(error)))


def _retry_after_s(headers: Any) -> float | None:
    """`Retry-After` in seconds (RFC 9110, 10.2.3), or OpenAI's `retry-after-ms`."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * scale)
        except (KeyError, ValueError):
            continue
    return None


def _detail(error: BaseException) -> str:
    from bot.logs import redact

    cause = error.__cause__
    text = str(error) or type(error).__name__
    if cause is not None and str(cause) and str(cause) not in text:
        text = f"{text} ({type(cause).__name__}: {cause})"
    return redact(text)[:500]
