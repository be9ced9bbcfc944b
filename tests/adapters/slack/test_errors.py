"""Error table: each code of Slack is translated, and no secret is in an error."""

from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.slack.api import errors
from adapters.slack.api.errors import ERROR_TABLE, code_of, slack_errors, translate_error
from bot.errors import (
    PlaceGone,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
)

RELIED_ON = (
    "account_inactive", "cant_update_message", "channel_not_found", "edit_window_closed",
    "ekm_access_denied", "fatal_error", "internal_error", "invalid_auth", "invalid_blocks",
    "is_archived", "message_limit_exceeded", "message_not_found",
    "message_not_in_streaming_state", "message_not_owned_by_app", "messages_tab_disabled",
    "missing_recipient_team_id", "missing_recipient_user_id", "missing_scope",
    "msg_blocks_too_long", "msg_too_long", "no_permission", "no_text", "not_allowed_token_type",
    "not_authed", "not_in_channel", "org_login_required", "ratelimited", "request_timeout",
    "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_locked",
    "restricted_action_thread_only_channel", "service_unavailable", "team_access_not_granted",
    "thread_not_found", "token_expired", "token_revoked", "unknown_method", "user_not_found",
    "user_not_in_channel",
)  # fmt: skip
"""From the error tables of the methods we call (https://docs.slack.dev/reference/methods)."""


def refusal(code: str, status: int = 200, **more: str) -> SlackApiError:
    response = AsyncSlackResponse(
        client=None,
        http_verb="POST",
        api_url="",
        req_args={},
        data={"ok": False, "error": code, **more},
        headers={},
        status_code=status,
    )
    return SlackApiError(code, response)


@pytest.mark.parametrize("code", RELIED_ON)
def test_every_code_we_rely_on_is_in_the_table(code: str) -> None:
    kind, cure = ERROR_TABLE[code]
    error = translate_error("chat.postMessage", refusal(code, needed="im:write"))
    assert type(error) is kind
    assert code in error.detail or code == "missing_scope"
    assert error.cure == cure.format(scope="im:write")
    assert bool(cure) == (kind is PlatformRefused) or kind is PlaceGone


def test_every_code_the_sources_name_is_in_the_table() -> None:
    named = {
        *errors.UNCERTAIN_CODES,
        *errors.MESSAGE_NOT_EDITABLE,
        *errors.APP_WIDE_REFUSALS,
        "message_not_in_streaming_state",
        "streaming_state_conflict",
    }
    assert named <= set(ERROR_TABLE)


def test_a_missing_scope_is_named() -> None:
    error = translate_error("files.info", refusal("missing_scope", needed="files:read"))
    assert "files:read" in error.detail
    assert "files:read" in error.cure


def test_http_errors_without_a_code_are_platform_unreachable() -> None:
    response = AsyncSlackResponse(
        client=None, http_verb="POST", api_url="", req_args={}, data={}, headers={},
        status_code=502,
    )  # fmt: skip
    error = translate_error("chat.update", SlackApiError("?", response))
    assert isinstance(error, PlatformUnreachable)
    assert "502" in error.detail


def test_a_response_url_is_in_no_error() -> None:
    with pytest.raises(PlatformUnreachable) as caught, slack_errors("response_url"):
        raise aiohttp.InvalidURL("https://hooks.slack.test/commands/secret")
    assert "secret" not in str(caught.value)


def test_translated_errors_keep_slacks_code() -> None:
    with pytest.raises(PlatformError) as caught, slack_errors("chat.update"):
        raise refusal("message_not_found")
    assert code_of(caught.value) == "message_not_found"
    with pytest.raises(PlatformError) as other, slack_errors("chat.update"):
        raise SlackRequestError("?")
    assert code_of(other.value) == ""


def test_an_error_outside_the_table_is_not_retried() -> None:
    error = translate_error("chat.update", refusal("brand_new_error"))
    assert type(error) is PlatformError
    assert not error.can_retry
