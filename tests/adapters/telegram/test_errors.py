"""Translation of the SDK's errors, and redaction of the token."""

from __future__ import annotations

import httpx
import pytest
import telegram.error as errors
from hypothesis import given
from hypothesis import strategies as st
from telegram.error import BadRequest, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut
from telegram.ext import InvalidCallbackData

from adapters.shared.retry import OutcomeUnknown
from adapters.telegram.api.errors import PartRefused, redact_token, translate_error, was_never_sent
from bot.errors import (
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
)
from bot.logs import redact

SAMPLES = {
    errors.BadRequest: BadRequest("x"),
    errors.ChatMigrated: errors.ChatMigrated(-5),
    errors.Conflict: errors.Conflict("x"),
    errors.EndPointNotFound: errors.EndPointNotFound("x"),
    errors.Forbidden: Forbidden("bot was blocked by the user"),
    errors.InvalidToken: InvalidToken("x"),
    errors.NetworkError: NetworkError("x"),
    errors.PassportDecryptionError: errors.PassportDecryptionError("x"),
    errors.RetryAfter: RetryAfter(5),
    errors.TelegramError: errors.TelegramError("x"),
    errors.TimedOut: TimedOut("x"),
}


def test_every_error_of_the_sdk_is_in_the_table() -> None:
    def kinds(kind: type[errors.TelegramError]) -> set[type[errors.TelegramError]]:
        return {kind}.union(*(kinds(child) for child in kind.__subclasses__()))

    # Callback data kept by the SDK, which we do not use.
    unused = {InvalidCallbackData}
    assert kinds(errors.TelegramError) - unused == set(SAMPLES)
    ours = {kind.__name__: type(translate_error(error)) for kind, error in SAMPLES.items()}
    assert ours == {
        "BadRequest": PartRefused,
        "ChatMigrated": PlaceGone,
        "Conflict": PlatformRefused,
        "EndPointNotFound": PlatformRefused,
        "Forbidden": PlaceGone,
        "InvalidToken": PlatformRefused,
        "NetworkError": PlatformUnreachable,
        "PassportDecryptionError": PlatformError,
        "RetryAfter": PlatformBusy,
        "TelegramError": PlatformError,
        "TimedOut": OutcomeUnknown,
    }


@pytest.mark.parametrize(
    ("cause", "again"),
    [
        (httpx.ConnectError("x"), True),
        (httpx.ConnectTimeout("x"), True),
        (httpx.PoolTimeout("x"), True),
        (httpx.ReadError("x"), False),
        (httpx.RemoteProtocolError("x"), False),
    ],
)
def test_a_call_counts_as_never_sent_only_without_a_connection(
    cause: Exception, again: bool
) -> None:
    error = NetworkError("x")
    error.__cause__ = cause
    assert was_never_sent(error) is again


def test_a_timeout_does_not_count_as_never_sent() -> None:
    assert not isinstance(translate_error(BadRequest("x")), PlatformUnreachable)
    assert not was_never_sent(TimedOut("x"))
    assert was_never_sent(NetworkError("Bad Gateway"))


@given(st.integers(1, 10**10), st.text("ABCdef-_019", min_size=6, max_size=40))
def test_a_token_is_redacted_wherever_it_stands(number: int, rest: str) -> None:
    token = f"{number}:{rest}"
    words = redact_token(f"POST https://api.telegram.org/bot{token}/sendMessage failed")
    assert token not in words


def test_the_logs_redact_a_token_within_an_address() -> None:
    token = "123456789:" + "AbC_dE-" * 5
    assert token not in redact(f"https://api.telegram.org/bot{token}/getMe")
