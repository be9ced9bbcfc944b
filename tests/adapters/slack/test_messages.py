"""Nothing is said twice, nothing is said too fast, and every refusal of Slack's has its word."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api import errors
from adapters.slack.api.errors import ERROR_TABLE, code_of, slack_errors, translate_error
from adapters.slack.api.rate_limiter import RateLimiter
from adapters.slack.outbound.blocks import feedback_buttons
from adapters.slack.outbound.message_metadata import BotIdentity, MessageMetadata
from adapters.slack.outbound.target import Target
from bot.conversation import SessionKey
from bot.errors import (
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
)
from tests.adapters.slack.outbound_harness import OutboundHarness, open_outbound_harness
from tests.fakes.slack.server import SCOPES


def target(outbound: OutboundHarness, channel: str = "C1", *, thread: bool = True) -> Target:
    return Target.of(outbound.ask(channel, in_thread=thread))


# Never twice.


@pytest.mark.parametrize("thread", [True, False])
async def test_a_post_whose_answer_was_lost_is_found_and_not_made_again(
    outbound: OutboundHarness, thread: bool
) -> None:
    place = target(outbound, "D1", thread=thread)
    outbound.server.fail("chat.postMessage", after=True)
    ts = await outbound.sender.post(place, "Hello.", MessageMetadata(reply_to=place.answered_ts))
    assert [(message.ts, message.text) for message in outbound.server.answers("D1")] == [
        (ts, "Hello.")
    ]
    assert len(outbound.server.called("chat.postMessage")) == 1


async def test_own_messages_are_known_by_either_id_and_joining_is_none_of_them(
    outbound: OutboundHarness,
) -> None:
    place = target(outbound)
    ts = await outbound.sender.post(place, "Hello.", MessageMetadata())
    outbound.server.answers("C1")[0].bot_id = ""
    assert [message.ts for message in await outbound.sender.find_own_messages(place)] == [ts]
    us = BotIdentity("B1", "UBOT")
    assert us.sent({"user": "UBOT", "bot_id": "B1"})
    assert not us.sent({"user": "UBOT", "subtype": "channel_join"})
    assert not us.sent({"user": "U1"})
    assert not us.sent({"bot_id": "B2", "user": "UBOT"})
    assert not BotIdentity("", "").sent({"text": "of nobody"})


async def test_a_post_that_was_lost_before_slack_had_it_is_made_again(
    outbound: OutboundHarness,
) -> None:
    place = target(outbound)
    outbound.server.fail("chat.postMessage", cut=True, times=2)
    await outbound.sender.post(place, "Hello.", MessageMetadata())
    assert [message.text for message in outbound.server.answers("C1")] == ["Hello."]
    assert len(outbound.server.called("chat.postMessage")) == 3


@pytest.mark.parametrize("code", errors.UNCERTAIN_CODES)
async def test_a_post_that_failed_halfway_is_looked_for_in_slack(
    outbound: OutboundHarness, code: str
) -> None:
    outbound.server.fail("chat.postMessage", error=code)
    await outbound.sender.post(target(outbound), "Hello.", MessageMetadata())
    assert [message.text for message in outbound.server.answers("C1")] == ["Hello."]
    assert outbound.server.called("conversations.replies", ok=True)


async def test_a_lost_post_is_not_repeated_where_slack_cannot_be_asked(
    outbound: OutboundHarness,
) -> None:
    outbound.server.fail("chat.postMessage", after=True)
    outbound.server.fail("conversations.replies", error="missing_scope", times=9)
    with pytest.raises(PlatformError):
        await outbound.sender.post(target(outbound), "Hello.", MessageMetadata())
    assert len(outbound.server.answers("C1")) == 1


async def test_an_equal_earlier_message_is_not_taken_for_the_lost_one(
    outbound: OutboundHarness,
) -> None:
    place = target(outbound)
    await outbound.sender.post(place, "Yes.", MessageMetadata(reply_to=place.answered_ts))
    outbound.server.fail("chat.postMessage", cut=True)
    await outbound.sender.post(place, "Yes.", MessageMetadata(reply_to=place.answered_ts))
    assert [message.text for message in outbound.server.answers("C1")] == ["Yes.", "Yes."]


async def test_a_lost_post_is_found_in_a_busy_thread_and_under_the_strictest_limits() -> None:
    async with open_outbound_harness(distributed=True) as outbound:
        place = target(outbound)
        for number in range(5):
            outbound.server.say("C1", "U2", f"and {number}", place.thread_ts)
        outbound.server.fail("chat.postMessage", after=True)
        await outbound.sender.post(place, "Hello.", MessageMetadata())
        assert len(outbound.server.answers("C1")) == 1


async def test_a_slow_answer_is_a_lost_answer() -> None:
    async with open_outbound_harness(timeout_s=3) as outbound:
        outbound.server.fail("chat.postMessage", delay_s=60, after=True)
        await outbound.sender.post(target(outbound), "Hello.", MessageMetadata())
        assert [message.text for message in outbound.server.answers("C1")] == ["Hello."]
        assert len(outbound.server.called("chat.postMessage")) == 1


async def test_an_edit_whose_answer_was_lost_is_made_again(outbound: OutboundHarness) -> None:
    place = target(outbound)
    ts = await outbound.sender.post(place, "One", MessageMetadata())
    outbound.server.fail("chat.update", after=True)
    assert await outbound.sender.update(place, ts, "Two", MessageMetadata())
    assert [message.text for message in outbound.server.answers("C1")] == ["Two"]


async def test_an_edit_of_a_message_that_is_gone_says_so(outbound: OutboundHarness) -> None:
    place = target(outbound)
    ts = await outbound.sender.post(place, "One", MessageMetadata())
    await outbound.sender.delete(place, ts)
    assert not await outbound.sender.update(place, ts, "Two", MessageMetadata())
    await outbound.sender.delete(place, ts)


@pytest.mark.parametrize("code", ["edit_window_closed", "cant_update_message"])
async def test_a_message_that_cannot_be_edited_is_deleted_before_it_is_posted_anew(
    outbound: OutboundHarness, code: str
) -> None:
    place = target(outbound)
    ts = await outbound.sender.post(place, "One", MessageMetadata())
    outbound.server.fail("chat.update", error=code)
    assert not await outbound.sender.update(place, ts, "Two", MessageMetadata())
    assert outbound.server.answers("C1") == []
    ts = await outbound.sender.post(place, "One", MessageMetadata())
    outbound.server.fail("chat.update", error=code)
    outbound.server.fail("chat.delete", error="cant_delete_message")
    assert not await outbound.sender.update(place, ts, "Two", MessageMetadata())


# Never too fast.


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_concurrent_posts_of_one_channel_wait_for_one_another(
    outbound: OutboundHarness,
) -> None:
    outbound.use(rate_limiter=RateLimiter(post_every_s=0.2))
    places = [target(outbound), target(outbound), target(outbound)]
    began_at = time.monotonic()
    await asyncio.gather(
        *(outbound.sender.post(place, "Hello.", MessageMetadata()) for place in places)
    )
    assert len(outbound.server.answers("C1")) == 3
    assert time.monotonic() - began_at >= 0.4


def test_the_rate_limiter_lets_posts_of_one_channel_come_a_second_apart() -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock=clock)
    assert rate_limiter.wait_s("T1", "chat.postMessage", "C1", "required") == 0
    rate_limiter.count("T1", "chat.postMessage", "C1")
    assert rate_limiter.wait_s("T1", "chat.postMessage", "C1", "required") == 1
    assert rate_limiter.wait_s("T1", "chat.postMessage", "G1", "required") == 0, (
        "others need not wait"
    )
    clock.now += 0.75
    assert rate_limiter.wait_s("T1", "chat.postMessage", "C1", "required") == 0.25
    rate_limiter.count("T1", "chat.postMessage", "C1")
    assert rate_limiter.wait_s("T1", "chat.postMessage", "C1", "required") == 1.25


async def test_a_retry_after_holds_back_all_posts_of_the_channel(
    outbound: OutboundHarness,
) -> None:
    outbound.server.fail("chat.postMessage", status=429, retry_after=1)
    place = target(outbound)
    await asyncio.gather(
        *(outbound.sender.post(place, "Hello.", MessageMetadata()) for _ in range(3))
    )
    calls = outbound.server.called("chat.postMessage")
    assert len(outbound.server.answers("C1")) == 3
    refused = next(call.at for call in calls if call.error)
    after = [call.at - refused for call in calls if not call.error]
    assert sum(at >= 1 for at in after) >= 1
    assert len(calls) == 4


async def test_a_pause_longer_than_the_retry_deadline_is_raised_at_once(
    outbound: OutboundHarness,
) -> None:
    outbound.server.fail("chat.postMessage", status=429, retry_after=3_600, times=9)
    with pytest.raises(PlatformBusy) as caught:
        await outbound.sender.post(target(outbound), "Hello.", MessageMetadata())
    assert caught.value.retry_after_s == 3_600
    with pytest.raises(PlatformBusy):
        await outbound.sender.post(target(outbound), "Hello.", MessageMetadata())
    assert len(outbound.server.called("chat.postMessage")) == 1


async def test_best_effort_calls_leave_room_for_required_ones(outbound: OutboundHarness) -> None:
    outbound.use(rate_limiter=RateLimiter(clock=Clock()))
    place = target(outbound)
    ts = await outbound.sender.post(place, "0", MessageMetadata())
    shown = 0
    for number in range(60):
        try:
            shown += await outbound.sender.update(
                place, ts, f"{number}", MessageMetadata(), priority="best_effort"
            )
        except PlatformBusy:
            break
    assert 5 <= shown <= 20
    assert await outbound.sender.update(place, ts, "The end.", MessageMetadata())
    assert outbound.server.answers("C1")[0].text == "The end."


def test_idle_lanes_are_dropped_when_there_are_too_many() -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock=clock)
    for number in range(25_000):
        rate_limiter.count("T1", "chat.postMessage", f"C{number}")
        clock.now += 1
    assert len(rate_limiter) <= 20_003


# What it looks like.


async def test_links_are_not_unfurled_and_a_plain_text_comes_with_the_blocks(
    outbound: OutboundHarness,
) -> None:
    await outbound.sender.post(
        target(outbound), "See https://example.com <!channel>", MessageMetadata()
    )
    (message,) = outbound.server.answers("C1")
    assert not message.unfurls
    assert message.fallback == "See https://example.com &lt;!channel&gt;"


async def test_text_is_posted_in_sections_where_slack_refuses_markdown_blocks(
    outbound: OutboundHarness,
) -> None:
    text = "A <line> & more.\n" * 500
    outbound.server.fail("chat.postMessage", error="invalid_blocks")
    ts = await outbound.sender.post(target(outbound), text, MessageMetadata())
    assert outbound.server.answers("C1")[0].text == text
    outbound.server.fail("chat.update", error="invalid_blocks")
    assert await outbound.sender.update(target(outbound), ts, text[:5_000], MessageMetadata())
    assert outbound.server.answers("C1")[0].text == text[:5_000]


async def test_text_is_posted_without_buttons_where_slack_refuses_them(
    outbound: OutboundHarness,
) -> None:
    buttons = feedback_buttons(outbound.ask().session)
    outbound.server.fail("chat.postMessage", error="invalid_blocks", times=2)
    ts = await outbound.sender.post(target(outbound), "Hello.", MessageMetadata(), buttons)
    outbound.server.fail("chat.update", error="invalid_blocks", times=3)
    assert await outbound.sender.update(
        target(outbound), ts, "Hello again.", MessageMetadata(), buttons
    )
    (message,) = outbound.server.answers("C1")
    assert (message.edits, message.text) == (["Hello."], "Hello again.")


# What went wrong.

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


def test_an_error_outside_the_table_is_not_retried() -> None:
    error = translate_error("chat.update", refusal("brand_new_error"))
    assert type(error) is PlatformError
    assert not error.can_retry


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


@pytest.mark.parametrize(
    ("break_it", "kind"),
    [
        (lambda outbound: setattr(outbound.server.space.channels["C1"], "archived", True), PlaceGone),
        (lambda outbound: setattr(outbound.server.space.channels["C1"], "has_bot", False), PlaceGone),
        (lambda outbound: outbound.server.tokens.clear(), PlatformRefused),
        (lambda outbound: outbound.server.fail("chat.postMessage", error="account_inactive"), PlatformRefused),
        (lambda outbound: outbound.server.fail("chat.postMessage", status=503, times=99), OutcomeUnknown),
    ],
)  # fmt: skip
async def test_a_refusal_of_slack_is_raised_as_our_error(
    outbound: OutboundHarness, break_it: object, kind: type[PlatformError]
) -> None:
    place = target(outbound)
    assert callable(break_it)
    break_it(outbound)
    with pytest.raises(kind):
        await outbound.sender.post(place, "Hello.", MessageMetadata())
    assert outbound.server.space.channels["C1"].messages[-1].text == "?"


async def test_a_scope_the_token_lacks_is_named(outbound: OutboundHarness) -> None:
    outbound.server.tokens["xoxb-test"].scopes = tuple(set(SCOPES) - {"chat:write"})
    with pytest.raises(PlatformRefused, match="chat:write"):
        await outbound.sender.post(target(outbound), "Hello.", MessageMetadata())


async def test_a_slack_that_is_down_is_an_error_after_some_attempts(
    outbound: OutboundHarness,
) -> None:
    place = target(outbound)
    await outbound.server._runner.cleanup()
    with pytest.raises(PlatformUnreachable):
        await outbound.sender.post(place, "Hello.", MessageMetadata())


# Marks.


def test_metadata_is_read_back_as_it_was_written() -> None:
    metadata = MessageMetadata("turn-1", 2, 3, "1700000000.000100", ("1.1", "1.2"))
    assert MessageMetadata.of_message({"metadata": metadata.as_argument()}) == metadata
    assert (
        metadata.as_argument()["event_payload"]["id"]
        != MessageMetadata().as_argument()["event_payload"]["id"]
    )
    for strange in (
        {},
        {"event_type": "other", "event_payload": {}},
        {"event_type": "keepthread_answer", "event_payload": {"part": "x"}},
    ):
        assert MessageMetadata.of_message({"metadata": strange}) is None


def test_an_answer_to_nothing_in_particular_is_looked_for_in_the_last_minutes() -> None:
    place = Target(SessionKey("slack", "T1", "C1"), "C1")
    assert 0 < time.time() - float(place.oldest_ts) < 600
    assert place.age_s == 0
