"""Maps Slack's errors to PlatformError: one table of error codes.

Error codes: the reference page of each method (https://docs.slack.dev/reference/methods).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.errors import (
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
)

TOKEN_CURE = (
    "Copy the Bot User OAuth Token from the app's OAuth & Permissions page into SLACK_BOT_TOKEN."  # noqa: S105  advice
)
SOCKET_CURE = (
    "Make an app-level token with connections:write on the app's Basic Information page, turn on "
    "Socket Mode, and copy the token into SLACK_APP_TOKEN."
)
REINSTALL_CURE = "Install the app in the workspace again."
INVITE_CURE = "Invite the bot to the channel (`/invite @Keepthread`)."
SCOPE_CURE = "Add the scope {scope} under OAuth & Permissions and install the app again."
PLAN_CURE = "Ask an admin of the workspace: its settings do not let the app do this."


class ThreadGone(PlaceGone):
    """The thread was deleted, with the question in it: nothing is shown to anybody any more."""


_GONE = PlaceGone, ""
_THREAD_GONE = ThreadGone, ""
_NO_TOKEN = PlatformRefused, TOKEN_CURE
_REVOKED = PlatformRefused, REINSTALL_CURE
_DENIED = PlatformRefused, PLAN_CURE
_BUSY = PlatformBusy, ""
_DOWN = PlatformUnreachable, ""
_BAD_CALL = PlatformError, ""

ERROR_TABLE: dict[str, tuple[type[PlatformError], str]] = {
    # The channel, thread or person is gone, or closed to the bot.
    "channel_is_archived": _GONE,
    "channel_not_found": _GONE,
    "cannot_dm_bot": _GONE,
    "cannot_reply_to_message": _GONE,
    "invalid_thread_ts": _THREAD_GONE,
    "is_archived": _GONE,
    "is_inactive": _GONE,
    "messages_tab_disabled": _GONE,
    "not_in_channel": (PlaceGone, INVITE_CURE),
    "restricted_action": (PlaceGone, PLAN_CURE),
    "restricted_action_non_threadable_channel": (PlaceGone, PLAN_CURE),
    "restricted_action_read_only_channel": (PlaceGone, PLAN_CURE),
    "restricted_action_thread_locked": _GONE,
    "restricted_action_thread_only_channel": (PlaceGone, PLAN_CURE),
    "thread_not_found": _THREAD_GONE,
    "user_disabled": _GONE,
    "user_not_found": _GONE,
    "user_not_in_channel": _GONE,
    # The token or its rights.
    "invalid_auth": _NO_TOKEN,
    "not_authed": _NO_TOKEN,
    "not_allowed_token_type": _NO_TOKEN,
    "account_inactive": _REVOKED,
    "token_expired": _REVOKED,
    "token_revoked": _REVOKED,
    "app_not_found": _REVOKED,
    "invalid_refresh_token": _REVOKED,
    "missing_scope": (PlatformRefused, SCOPE_CURE),
    "no_permission": _DENIED,
    "access_denied": _DENIED,
    "ekm_access_denied": _DENIED,
    "enterprise_is_restricted": _DENIED,
    "org_login_required": _DENIED,
    "team_access_not_granted": _DENIED,
    "team_added_to_org": _DENIED,
    "two_factor_setup_required": _DENIED,
    "file_uploads_disabled": _DENIED,
    "invalid_app_id": _REVOKED,
    # Rate limits and outages.
    "ratelimited": _BUSY,
    "rate_limited": _BUSY,
    "message_limit_exceeded": _BUSY,
    "accesslimited": _DENIED,
    "fatal_error": _DOWN,
    "internal_error": _DOWN,
    "request_timeout": _DOWN,
    "service_unavailable": _DOWN,
    # The call itself; callers recognise these codes and react.
    "cant_delete_message": _BAD_CALL,
    "cant_update_message": _BAD_CALL,
    "edit_window_closed": _BAD_CALL,
    "external_channel_migrating": _BAD_CALL,
    "invalid_arguments": _BAD_CALL,
    "invalid_attachments": _BAD_CALL,
    "invalid_blocks": _BAD_CALL,
    "invalid_blocks_format": _BAD_CALL,
    "invalid_metadata_format": _BAD_CALL,
    "invalid_metadata_schema": _BAD_CALL,
    "markdown_text_conflict": _BAD_CALL,
    "message_not_found": _BAD_CALL,
    "message_not_in_streaming_state": _BAD_CALL,
    "message_not_owned_by_app": _BAD_CALL,
    "metadata_must_be_sent_from_app": _BAD_CALL,
    "metadata_too_large": _BAD_CALL,
    "missing_recipient_team_id": _BAD_CALL,
    "missing_recipient_user_id": _BAD_CALL,
    "msg_blocks_too_long": _BAD_CALL,
    "msg_too_long": _BAD_CALL,
    "no_text": _BAD_CALL,
    "streaming_state_conflict": _BAD_CALL,
    "unknown_method": _BAD_CALL,
}
"""Error class and cure of each code. A code that is not here is a PlatformError."""

UNCERTAIN_CODES = ("fatal_error", "internal_error", "request_timeout", "service_unavailable")
"""Codes after which the call may have been carried out all the same: Slack documents it of the first two."""

MESSAGE_NOT_EDITABLE = ("message_not_found", "cant_update_message", "edit_window_closed")
"""Codes of an edit or deletion of a message that can be edited no more."""

BLOCKS_REFUSED = (
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_blocks_too_long",
)
"""Codes of a message whose blocks Slack does not take."""

METADATA_REFUSED = (
    "invalid_metadata_format",
    "invalid_metadata_schema",
    "metadata_must_be_sent_from_app",
    "metadata_too_large",
)
"""Codes of a message whose metadata Slack does not take."""

TEXT_REFUSED = ("msg_too_long",)
"""Codes of a message whose text Slack does not take."""

CONTENT_REFUSED = BLOCKS_REFUSED + METADATA_REFUSED + TEXT_REFUSED
"""Codes that name the part of a message that Slack does not take."""

APP_WIDE_REFUSALS = (
    "access_denied",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "unknown_method",
)
"""Codes that concern the app and not the channel: the next call would be refused, too."""


def code_of(error: BaseException) -> str:
    """Slack's error code, also of a PlatformError raised from it; "" if there is none."""
    origin = error if isinstance(error, SlackApiError) else error.__cause__
    if not isinstance(origin, SlackApiError):
        return ""
    return _response_field(origin, "error")


def is_refusal(error: PlatformError) -> bool:
    """Whether Slack refused this very call, so that another may do: the place is there, and the token good."""
    is_general = isinstance(error, PlaceGone | PlatformBusy | PlatformRefused | PlatformUnreachable)
    return bool(code_of(error)) and not is_general


def translate_error(method: str, error: Exception) -> PlatformError:
    """The PlatformError for `error`, which a call of `method` raised."""
    if not isinstance(error, SlackApiError):
        # A response URL is a secret, and some errors of aiohttp quote it: their class must do.
        detail = f"{method}: {type(error).__name__}"
        return PlatformUnreachable(f"{detail}: {error}" if method != "response_url" else detail)
    code, status = code_of(error), _status(error)
    if status == 429:
        return PlatformBusy(f"{method}: rate limited", retry_after_s=retry_after_s(error))
    if not code:
        shown = status if status not in (0, 200) else "no JSON"
        return PlatformUnreachable(f"{method}: answered {shown}")
    kind, cure = ERROR_TABLE.get(code, _BAD_CALL)
    if kind is PlatformRefused and method == "apps.connections.open":
        return kind(
            f"{method}: {code} {_response_field(error, 'needed')}".strip(), cure=SOCKET_CURE
        )
    if code == "missing_scope":
        scope = _response_field(error, "needed")
        return kind(f"{method}: the token lacks the scope {scope}", cure=cure.format(scope=scope))
    if kind is PlatformBusy:
        return kind(f"{method}: {code}", retry_after_s=retry_after_s(error))
    return kind(f"{method}: {code}", cure=cure)


@contextmanager
def slack_errors(method: str) -> Iterator[None]:
    """Translates what the SDK and aiohttp raise inside.

    Raises:
        PlatformError: see `translate_error`.
    """
    try:
        yield
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise translate_error(method, error) from error


def retry_after_s(error: Exception) -> float | None:
    """The Retry-After header, in seconds; None without one."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    stated = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return max(0.0, float(stated))
    except ValueError:
        return None


def was_not_carried_out(error: Exception) -> bool:
    """Whether the call certainly had no effect: no connection was made, or Slack refused it."""
    if isinstance(error, SlackApiError):
        code = code_of(error)
        return _status(error) == 429 or bool(code and code not in UNCERTAIN_CODES)
    return isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))


def _response_field(error: SlackApiError, name: str) -> str:
    data = getattr(error.response, "data", None) or (
        error.response if isinstance(error.response, dict) else None
    )
    return str(data.get(name) or "") if isinstance(data, dict) else ""


def _status(error: SlackApiError) -> int:
    """The HTTP status. The response is the SDK's or, for a body that is no JSON, aiohttp's."""
    response = error.response
    return int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
