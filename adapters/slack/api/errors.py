"""Slack's errors in our words: one table, and what each leaves open.

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

_GONE = PlaceGone, ""
_NO_TOKEN = PlatformRefused, TOKEN_CURE
_REVOKED = PlatformRefused, REINSTALL_CURE
_DENIED = PlatformRefused, PLAN_CURE
_BUSY = PlatformBusy, ""
_DOWN = PlatformUnreachable, ""
_MISUSED = PlatformError, ""

ERROR_TABLE: dict[str, tuple[type[PlatformError], str]] = {
    # The place, or whoever would read it there.
    "channel_is_archived": _GONE,
    "channel_not_found": _GONE,
    "cannot_dm_bot": _GONE,
    "cannot_reply_to_message": _GONE,
    "is_archived": _GONE,
    "is_inactive": _GONE,
    "messages_tab_disabled": _GONE,
    "not_in_channel": (PlaceGone, INVITE_CURE),
    "restricted_action": (PlaceGone, PLAN_CURE),
    "restricted_action_non_threadable_channel": (PlaceGone, PLAN_CURE),
    "restricted_action_read_only_channel": (PlaceGone, PLAN_CURE),
    "restricted_action_thread_locked": _GONE,
    "restricted_action_thread_only_channel": (PlaceGone, PLAN_CURE),
    "thread_not_found": _GONE,
    "user_disabled": _GONE,
    "user_not_found": _GONE,
    "user_not_in_channel": _GONE,
    # The token.
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
    # Too much, or not now.
    "ratelimited": _BUSY,
    "rate_limited": _BUSY,
    "message_limit_exceeded": _BUSY,
    "accesslimited": _DENIED,
    "fatal_error": _DOWN,
    "internal_error": _DOWN,
    "request_timeout": _DOWN,
    "service_unavailable": _DOWN,
    # What we asked for; the callers below know these and do otherwise.
    "cant_delete_message": _MISUSED,
    "cant_update_message": _MISUSED,
    "edit_window_closed": _MISUSED,
    "invalid_arguments": _MISUSED,
    "invalid_blocks": _MISUSED,
    "invalid_blocks_format": _MISUSED,
    "invalid_metadata_format": _MISUSED,
    "markdown_text_conflict": _MISUSED,
    "message_not_found": _MISUSED,
    "message_not_in_streaming_state": _MISUSED,
    "message_not_owned_by_app": _MISUSED,
    "metadata_too_large": _MISUSED,
    "missing_recipient_team_id": _MISUSED,
    "missing_recipient_user_id": _MISUSED,
    "msg_blocks_too_long": _MISUSED,
    "msg_too_long": _MISUSED,
    "no_text": _MISUSED,
    "streaming_state_conflict": _MISUSED,
    "unknown_method": _MISUSED,
}
"""What each code is to the core, and its cure. A code that is not here is a PlatformError."""

UNCERTAIN = ("fatal_error", "internal_error", "request_timeout", "service_unavailable")
"""Answers after which it may have been done all the same: Slack says so of the first two."""

MESSAGE_NOT_EDITABLE = ("message_not_found", "cant_update_message", "edit_window_closed")
"""Answers to an edit of a message that can be edited no more."""

APP_WIDE_REFUSALS = (
    "access_denied",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "unknown_method",
)
"""Refusals that are about the app, and not about the one place: it will be the same the next time."""


def code_of(error: BaseException) -> str:
    """Slack's word for what went wrong, also of one of our errors that came from it; `""` if it said none."""
    origin = error if isinstance(error, SlackApiError) else error.__cause__
    if not isinstance(origin, SlackApiError):
        return ""
    return _response_field(origin, "error")


def translate_error(method: str, error: Exception) -> PlatformError:
    """The error of ours that says the same as `error`, which a call of `method` raised."""
    if not isinstance(error, SlackApiError):
        # A response address is a secret, and some errors of aiohttp quote it: the kind must do.
        detail = f"{method}: {type(error).__name__}"
        return PlatformUnreachable(f"{detail}: {error}" if method != "response_url" else detail)
    code, status = code_of(error), _status(error)
    if status == 429:
        return PlatformBusy(f"{method}: rate limited", retry_after_s=retry_after_s(error))
    if not code:
        what = status if status not in (0, 200) else "no JSON"
        return PlatformUnreachable(f"{method}: answered {what}")
    kind, cure = ERROR_TABLE.get(code, _MISUSED)
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
    """What the SDK and its connections raise inside becomes one of ours.

    Raises:
        PlatformError: see `translate_error`.
    """
    try:
        yield
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise translate_error(method, error) from error


def retry_after_s(error: Exception) -> float | None:
    """How long Slack wants us to wait, in seconds; None if it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    stated = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return max(0.0, float(stated))
    except ValueError:
        return None


def was_not_carried_out(error: Exception) -> bool:
    """No connection was made, or Slack refused before doing anything: nothing was done for sure."""
    if isinstance(error, SlackApiError):
        code = code_of(error)
        return _status(error) == 429 or bool(code and code not in UNCERTAIN)
    return isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))


def _response_field(error: SlackApiError, name: str) -> str:
    data = getattr(error.response, "data", None) or (
        error.response if isinstance(error.response, dict) else None
    )
    return str(data.get(name) or "") if isinstance(data, dict) else ""


def _status(error: SlackApiError) -> int:
    """The HTTP status; the SDK hands over its own response or, for no JSON, that of aiohttp."""
    response = error.response
    return int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
