"""Telegram's errors in our words: one table, and what each leaves open.

Telegram tells many failures apart only by their description
(https://core.telegram.org/bots/api#making-requests), so the phrases stand here, and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    NetworkError,
    PassportDecryptionError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from bot.errors import (
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
)

TOKEN_CURE = "Put the token that @BotFather shows into TELEGRAM_BOT_TOKEN and start again."  # noqa: S105  advice
CONFLICT_CURE = "Stop the other process, or give it a bot of its own."
CONFLICT_WORDS = (
    "Another process polls with the same bot token, so this one gets nothing while that one runs."
)

GONE = (
    "chat not found",
    "message thread not found",
    "topic_closed",
    "topic_deleted",
    "topic_id_invalid",
    "chat_write_forbidden",
    "chat_restricted",
    "chat_send_plain_forbidden",
    "not enough rights to send",
    "have no rights to send",
    "need administrator rights",
    "group chat was deactivated",
    "user_is_blocked",
    "user is deactivated",
    "peer_id_invalid",
    "channel_private",
)
"""Descriptions of `400 Bad Request` that mean: nothing can be said there any more."""

UNCHANGED = "message is not modified"
LOST_MESSAGE = ("message to edit not found", "message can't be edited", "message_id_invalid")

os.environ.setdefault("PTB_TIMEDELTA", "true")
"""Durations as timedeltas: else each RetryAfter warns that numbers will go away (PTB 22.2)."""

_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]{6,}")
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class NoCapacity(TelegramError):
    """The chat's budget has no room for a courtesy; nothing was sent."""


def redact_token(text: str) -> str:
    """`text` without anything that looks like a bot token; they are part of every address."""
    return _TOKEN.sub("[token]", text)


def translate_error(error: TelegramError) -> PlatformError:
    """The error of ours that says the same."""
    detail = redact_token(str(error))
    match error:
        case RetryAfter():
            return PlatformBusy(detail, retry_after_s=wait_of(error))
        case NoCapacity():
            return PlatformBusy(detail, retry_after_s=1)
        case InvalidToken() | EndPointNotFound():
            return PlatformRefused(f"Telegram refuses the token: {detail}", cure=TOKEN_CURE)
        case Conflict():
            return PlatformRefused(f"{CONFLICT_WORDS} ({detail})", cure=CONFLICT_CURE)
        case Forbidden() | ChatMigrated():
            return PlaceGone(detail)
        case BadRequest():
            is_gone = any(phrase in detail.lower() for phrase in GONE)
            return PlaceGone(detail) if is_gone else PlatformError(detail)
        case TimedOut() | NetworkError():
            return PlatformUnreachable(detail)
        case PassportDecryptionError():
            return PlatformError(detail)
    return PlatformError(detail)


@contextmanager
def telegram_errors() -> Iterator[None]:
    """What Telegram raises inside becomes one of ours.

    Raises:
        PlatformError: see `in_our_words`.
    """
    try:
        yield
    except TelegramError as error:
        raise translate_error(error) from without_cause(error)


def without_cause(error: TelegramError) -> TelegramError | None:
    """`error`, unless a traceback would show the address of the request, and with it the token."""
    return None if isinstance(error, (InvalidToken, NetworkError)) else error


def wait_of(error: RetryAfter) -> float:
    """How long Telegram wants us to wait, in seconds."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


def was_never_sent(error: NetworkError) -> bool:
    """Whether nothing was done for sure, so that sending again cannot repeat anything.

    True: no connection, or the server itself said that it failed. False: the request may have
    arrived, and only its answer was lost.
    """
    if isinstance(error, BadRequest):
        return False
    cause = error.__cause__
    return isinstance(cause, _NEVER_SENT) or (cause is None and not isinstance(error, TimedOut))


def is_unknown_method(error: TelegramError) -> bool:
    """Whether that server lacks the method: it says so (404) as if the token were wrong.

    To be asked only where the same token is proven by other calls.
    """
    return isinstance(error, (InvalidToken, EndPointNotFound)) and "not found" in str(error).lower()


def is_unchanged(error: BadRequest) -> bool:
    """An edit that changes nothing: as good as done."""
    return UNCHANGED in str(error).lower()


def is_lost_message(error: BadRequest) -> bool:
    """An edit of a message that is no longer there."""
    return any(phrase in str(error).lower() for phrase in LOST_MESSAGE)
