"""Web API client and rate limiter: priorities, pauses, retries, translated errors."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import pytest

from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api.rate_limiter import RateLimiter
from adapters.slack.outbound.message_metadata import MessageMetadata
from bot.errors import (
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
)
from tests.adapters.slack.outbound_harness import OutboundHarness
from tests.fakes.slack.methods import SCOPES


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
    places = [outbound.asked_target(), outbound.asked_target(), outbound.asked_target()]
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
    place = outbound.asked_target()
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
        await outbound.sender.post(outbound.asked_target(), "Hello.", MessageMetadata())
    assert caught.value.retry_after_s == 3_600
    with pytest.raises(PlatformBusy):
        await outbound.sender.post(outbound.asked_target(), "Hello.", MessageMetadata())
    assert len(outbound.server.called("chat.postMessage")) == 1


async def test_best_effort_calls_leave_room_for_required_ones(outbound: OutboundHarness) -> None:
    outbound.use(rate_limiter=RateLimiter(clock=Clock()))
    place = outbound.asked_target()
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
    place = outbound.asked_target()
    assert callable(break_it)
    break_it(outbound)
    with pytest.raises(kind):
        await outbound.sender.post(place, "Hello.", MessageMetadata())
    assert outbound.server.space.channels["C1"].messages[-1].text == "?"


async def test_a_scope_the_token_lacks_is_named(outbound: OutboundHarness) -> None:
    outbound.server.tokens["xoxb-test"].scopes = tuple(set(SCOPES) - {"chat:write"})
    with pytest.raises(PlatformRefused, match="chat:write"):
        await outbound.sender.post(outbound.asked_target(), "Hello.", MessageMetadata())


async def test_a_slack_that_is_down_is_an_error_after_some_attempts(
    outbound: OutboundHarness,
) -> None:
    place = outbound.asked_target()
    await outbound.server._runner.cleanup()
    with pytest.raises(PlatformUnreachable):
        await outbound.sender.post(place, "Hello.", MessageMetadata())
