"""Maps the SDK's errors to PlatformErrors, and classifies what each leaves open.

Telegram tells many failures apart only by their description
(https://core.telegram.org/bots/api#making-requests), so its phrases stand here, and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

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

from adapters.shared.retry import OutcomeUnknown
from bot.errors import (
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
)

TOKEN_CURE = "Put the token that @BotFather shows into TELEGRAM_BOT_TOKEN and start again."  # noqa: S105  advice
CONFLICT_CURE = "Stop the other process, or give it a bot of its own."
CONFLICT_TEXT = (
    "Another process polls with the same bot token, so this one gets nothing while that one runs."
)

_GONE = (
    "chat not found",
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
"""Descriptions of `400 Bad Request` after which nothing can be posted there any more."""

Part = Literal["thread", "reply", "quote", "keyboard", "effect", "entity", "any"]
"""Part of a message without which the same message may pass; `any`: Telegram did not say which."""

_PARTS: tuple[tuple[Part, tuple[str, ...]], ...] = (
    ("quote", ("quote",)),
    (
        "reply",
        (
            "message to be replied not found",
            "message to reply not found",
            "replied message not found",
            "reply message not found",
            "reply_message_id_invalid",
            "reply_to_invalid",
            "can't be replied",
        ),
    ),
    (
        "thread",
        (
            "thread not found",
            "topic not found",
            "topic_closed",
            "topic_deleted",
            "topic_id_invalid",
        ),
    ),
    ("effect", ("effect",)),
    ("keyboard", ("reply_markup", "reply markup", "keyboard", "button")),
    ("entity", ("entit",)),
)
"""Descriptions of `400 Bad Request` that name a part of the message, in the order in which they are looked for."""

_UNCHANGED = "message is not modified"
_LOST_MESSAGE = ("message to edit not found", "message can't be edited", "message_id_invalid")
_WEBHOOK = "webhook"
_NOT_FOUND = "not found"

os.environ.setdefault("PTB_TIMEDELTA", "true")
"""Durations as timedeltas: else each RetryAfter warns that numbers will go away (PTB 22.2)."""

_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]{6,}")
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class PartRefused(PlatformError):
    """Telegram refuses the message for one of its parts. The place is there: without the part it may pass.

    Attributes:
        part: which one.
    """

    def __init__(self, detail: str = "", *, part: Part = "any") -> None:
        super().__init__(detail)
        self.part: Part = part


def redact_token(text: str) -> str:
    """`text` without anything that looks like a bot token; they are part of every address."""
    return _TOKEN.sub("[token]", text)


def translate_error(error: TelegramError) -> PlatformError:
    """The PlatformError that stands for `error`."""
    detail = redact_token(str(error))
    match error:
        case RetryAfter():
            return PlatformBusy(detail, retry_after_s=wait_of(error))
        case InvalidToken() | EndPointNotFound():
            return PlatformRefused(f"Telegram refuses the token: {detail}", cure=TOKEN_CURE)
        case Conflict():
            return PlatformRefused(f"{CONFLICT_TEXT} ({detail})", cure=CONFLICT_CURE)
        case Forbidden() | ChatMigrated():
            return PlaceGone(detail)
        case BadRequest():
            return _translate_bad_request(detail)
        case TimedOut() | NetworkError():
            kind = PlatformUnreachable if was_never_sent(error) else OutcomeUnknown
            return kind(detail)
        case PassportDecryptionError():
            return PlatformError(detail)
    return PlatformError(detail)


def _translate_bad_request(detail: str) -> PlatformError:
    lower = detail.lower()
    if any(phrase in lower for phrase in _GONE):
        return PlaceGone(detail)
    for part, phrases in _PARTS:
        if any(phrase in lower for phrase in phrases):
            return PartRefused(detail, part=part)
    return PartRefused(detail)


@contextmanager
def telegram_errors() -> Iterator[None]:
    """Translate a TelegramError raised inside.

    Raises:
        PlatformError: see `translate_error`.
    """
    try:
        yield
    except TelegramError as error:
        raise translate_error(error) from cause_to_show(error)


def cause_to_show(error: TelegramError) -> TelegramError | None:
    """`error`, unless its traceback would show the address of the request, and with it the token."""
    return None if isinstance(error, (InvalidToken, NetworkError)) else error


def wait_of(error: RetryAfter) -> float:
    """The wait that Telegram asks for, in seconds."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


def was_never_sent(error: NetworkError) -> bool:
    """Whether the call was certainly not carried out, so that a second try repeats nothing.

    True: no connection, or the server itself said that it failed. False: the request may have
    arrived, and only its response was lost.
    """
    cause = error.__cause__
    return isinstance(cause, _NEVER_SENT) or (cause is None and not isinstance(error, TimedOut))


def is_unknown_method(error: TelegramError) -> bool:
    """Whether that server lacks the method: it says so (404) as if the token were wrong.

    To be asked only where the same token is proven by other calls.
    """
    return isinstance(error, (InvalidToken, EndPointNotFound)) and _NOT_FOUND in str(error).lower()


def is_webhook_conflict(error: Conflict) -> bool:
    """Whether a webhook is set, so that polling is refused; else another process polls."""
    return _WEBHOOK in str(error).lower()


def is_unchanged(error: BadRequest) -> bool:
    """Whether the edit would change nothing: as good as done."""
    return _UNCHANGED in str(error).lower()


def is_lost_message(error: BadRequest) -> bool:
    """Whether the message to edit is no longer there."""
    return any(phrase in str(error).lower() for phrase in _LOST_MESSAGE)
