"""Every error of openai, LangChain and httpx2 has its place in our tree, and no key gets into the words."""

from __future__ import annotations

import functools
import inspect
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import ModuleType

import httpx2
import openai
import pytest
from langchain_core import exceptions as langchain
from langchain_openai.chat_models import base as langchain_openai

from bot.errors import (
    AnswerCut,
    AnswerFiltered,
    LocalModelError,
    ModelBroken,
    ModelBusy,
    ModelError,
    ModelKeyRefused,
    ModelMissing,
    ModelQuotaSpent,
    ModelSetupError,
    ModelTimeout,
    ModelUnreachable,
    PromptRefused,
    PromptTooLong,
)
from bot.model.errors import error_table, translate_error

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def of(module: ModuleType) -> set[type[Exception]]:
    """Its own exceptions, not those that it only imports."""
    return {
        item
        for item in list(vars(module).values())
        if inspect.isclass(item)
        and issubclass(item, Exception)
        and item.__module__.partition(".")[0] == module.__name__.partition(".")[0]
    }


BY_CLASS: dict[type[ModelError], str] = {
    ModelTimeout: "APITimeoutError OpenAITimeoutError ModelTimeoutError TimeoutException ConnectTimeout "
    "PoolTimeout ReadTimeout WriteTimeout",
    ModelUnreachable: "APIConnectionError OpenAIConnectionError ModelConnectionError CloseError ConnectError "
    "InvalidURL LocalProtocolError NetworkError ProtocolError ProxyError ReadError RemoteProtocolError "
    "SSEError TransportError UnsupportedProtocol WriteError",
    AnswerFiltered: "ContentFilterFinishReasonError",
    AnswerCut: "LengthFinishReasonError",
    PromptTooLong: "ContextOverflowError OpenAIAPIContextOverflowError OpenAIContextOverflowError",
    ModelKeyRefused: "ModelAuthenticationError ModelPermissionDeniedError",
    ModelMissing: "ModelNotFoundError",
    ModelBusy: "ModelRateLimitError",
    PromptRefused: "ModelInvalidRequestError",
    # What cannot happen to a streamed call, or tells no more than that it failed.
    ModelBroken: "APIError APIResponseValidationError OpenAIError InvalidWebhookSignatureError "
    "WebSocketConnectionClosedError WebSocketQueueFullError _AmbiguousModuleClientUsageError "
    "HTTPError HTTPStatusError RequestError DecodingError TooManyRedirects CookieConflict StreamError "
    "StreamClosed StreamConsumed RequestNotRead ResponseNotRead "
    "ModelError ModelAPIError LangChainException OutputParserException TracerException OpenAIRefusalError",
}
EXPECTED = {name: kind for kind, names in BY_CLASS.items() for name in names.split()}
CLASSES = sorted(
    {
        cls
        for cls in of(openai) | of(httpx2) | of(langchain) | of(langchain_openai)
        if not issubclass(cls, openai.APIStatusError) or "ContextOverflow" in cls.__name__
    },
    key=lambda cls: cls.__name__,
)
"""All but those that carry a status: for them the status counts."""


def test_every_exception_class_of_the_libraries_is_listed() -> None:
    assert {cls.__name__ for cls in CLASSES} == set(EXPECTED)


def an(cls: type[Exception], words: str = "words") -> Exception:
    """An instance, without what its own `__init__` may ask for."""
    error = cls.__new__(cls)
    error.args = (words,)
    for name in ("code", "type", "message", "status_code", "_request"):
        if issubclass(cls, openai.APIError):
            setattr(error, name, 200 if name == "status_code" else None)
    if issubclass(cls, openai.APIStatusError):
        error.response = httpx2.Response(400, request=REQUEST)
    return error


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_exception_class_is_translated(cls: type[Exception]) -> None:
    ours = translate_error(an(cls))
    assert type(ours) is EXPECTED[cls.__name__]
    assert ours.detail == "words"
    if type(ours) in (ModelUnreachable, ModelKeyRefused, ModelMissing):
        assert ours.cure


def test_exceptions_of_other_libraries_are_translated_too() -> None:
    assert type(translate_error(json.JSONDecodeError("no", "{", 0))) is ModelBroken
    assert type(translate_error(ExceptionGroup("several", [ValueError("x")]))) is ModelBroken
    assert type(translate_error(TimeoutError())) is ModelTimeout
    assert type(translate_error(ConnectionResetError("gone"))) is ModelUnreachable


def test_our_own_errors_pass_unchanged() -> None:
    error = LocalModelError("no room")
    assert translate_error(error) is error


def test_the_table_has_no_redundant_row() -> None:
    """A row that says what its nearest ancestor says too is no row."""
    rows = error_table()
    for cls, row in rows.items():
        above = next((rows[base] for base in cls.__mro__[1:] if base in rows), None)
        assert row != above, cls


STATUSES: dict[int, type[ModelError]] = {
    400: PromptRefused, 401: ModelKeyRefused, 402: ModelQuotaSpent, 403: ModelKeyRefused,
    404: ModelMissing, 405: ModelSetupError, 408: ModelTimeout, 409: ModelBroken, 413: PromptTooLong,
    415: ModelSetupError, 422: PromptRefused, 429: ModelBusy, 500: ModelBroken, 502: ModelBusy,
    503: ModelBusy, 504: ModelTimeout, 520: ModelBroken, 529: ModelBusy,
}  # fmt: skip


@functools.cache
def client() -> openai.OpenAI:
    return openai.OpenAI(api_key="none", base_url="http://127.0.0.1/v1")


def answer(status: int, code: object = None, message: str = "no", **headers: str) -> Exception:
    """What openai's client raises for such an answer."""
    response = httpx2.Response(status, request=REQUEST, headers=headers)
    body = {"message": message, "code": code}
    return client()._make_status_error(message, body=body, response=response)


@pytest.mark.parametrize(
    ("status", "kind"), STATUSES.items(), ids=lambda it: getattr(it, "__name__", it)
)
def test_each_http_status_is_translated(status: int, kind: type[ModelError]) -> None:
    ours = translate_error(answer(status))
    assert type(ours) is kind
    assert "Traceback" not in ours.detail


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (429, "insufficient_quota", "", ModelQuotaSpent),
        (400, "billing_hard_limit_reached", "", ModelQuotaSpent),
        (400, "content_policy_violation", "", AnswerFiltered),
        (400, "content_filter", "", AnswerFiltered),
        (400, None, "This model's maximum context length is 8192 tokens", PromptTooLong),
        (400, None, "prompt is too long: 210000 tokens > 200000 maximum", PromptTooLong),
        (500, None, "the request exceeds the available context size", PromptTooLong),
        (429, None, "too many tokens per minute", ModelBusy),
        (401, None, "maximum context length", ModelKeyRefused),
    ],
)
def test_an_error_code_or_message_overrides_the_status(
    status: int, code: str | None, message: str, kind: type[ModelError]
) -> None:
    assert type(translate_error(answer(status, code, message))) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (None, ModelBroken),
        ("server_error", ModelBroken),
        ("rate_limit_exceeded", ModelBusy),
        ("insufficient_quota", ModelQuotaSpent),
        ("context_length_exceeded", PromptTooLong),
        ("content_filter", AnswerFiltered),
        (429, ModelBusy),
        (502, ModelBusy),
        (403, ModelKeyRefused),
    ],
)
def test_an_error_event_within_a_stream_is_translated_by_its_code(
    code: object, kind: type[ModelError]
) -> None:
    event = openai.APIError("in the stream", request=REQUEST, body={"code": code})
    assert type(translate_error(event)) is kind


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "42"}, 42),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_in_every_form(
    status: int, headers: dict[str, str], wait_s: float | None
) -> None:
    found = translate_error(answer(status, **headers)).retry_after_s
    assert found == wait_s


def test_retry_after_may_be_a_date() -> None:
    at = datetime.now(UTC) + timedelta(days=1)
    found = translate_error(answer(429, **{"retry-after": format_datetime(at, usegmt=True)}))
    assert found.retry_after_s == pytest.approx(86_400, rel=0.01)


def test_an_error_text_holds_no_key() -> None:
    like_openais, own = "sk-" + "a1B2" * 6, "correct horse battery"
    error = answer(401, message=f"Incorrect API key provided: {like_openais} or {own}")
    error.__cause__ = ValueError(f"Authorization: Bearer {like_openais}, {own}")
    ours = translate_error(error, own)
    for text in (ours.detail, str(ours), repr(ours), ours.user_text, ours.cure):
        assert like_openais not in text
        assert own not in text
    assert "Incorrect API key provided" in ours.detail


def test_the_placeholder_for_no_key_is_not_redacted() -> None:
    assert translate_error(answer(400, message="none of it"), "none").detail == "none of it"


def test_an_error_detail_is_bounded() -> None:
    assert len(translate_error(answer(500, message="x" * 10_000)).detail) <= 500
