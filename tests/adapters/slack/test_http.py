"""Signed HTTP: requests without a valid, fresh signature get 401 and start nothing."""

from __future__ import annotations

import json
import time

import aiohttp
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from adapters.slack.transport.http import MAX_AGE_S, is_genuine
from bot.service.http import HttpLimits
from bot.settings import Settings
from tests.adapters.slack.inbound_harness import InboundHarness, open_inbound_harness
from tests.fakes.slack.events import SIGNING_SECRET, encoded, signed
from tests.payloads import slack

BODY, TYPE = encoded(slack("message_im"))
JSON = {"Content-Type": TYPE}


async def test_a_request_signed_by_slack_is_enqueued(http: InboundHarness) -> None:
    assert await http.events.post(BODY, JSON | signed(SIGNING_SECRET, BODY)) == 200
    assert len(http.core.enqueued) == 1


async def test_a_request_without_slacks_signature_starts_nothing(http: InboundHarness) -> None:
    good = signed(SIGNING_SECRET, BODY)
    forged = [
        {},
        signed("another secret", BODY),
        signed(SIGNING_SECRET, BODY + b" "),
        good | {"X-Slack-Signature": ""},
        good | {"X-Slack-Signature": "v0="},
        good | {"X-Slack-Signature": good["X-Slack-Signature"].replace("v0", "v1")},
        good | {"X-Slack-Request-Timestamp": str(int(good["X-Slack-Request-Timestamp"]) - 1)},
        good | {"X-Slack-Request-Timestamp": "soon"},
        good | {"X-Slack-Request-Timestamp": "-1"},
        good | {"X-Slack-Request-Timestamp": "9" * 400},
    ]
    for headers in forged:
        assert await http.events.post(BODY, JSON | headers) == 401, headers
    assert http.core.enqueued == []
    assert http.calls("users.info") == []


@pytest.mark.parametrize("age_s", [MAX_AGE_S + 5, -MAX_AGE_S - 600])
async def test_a_stale_signature_starts_nothing(http: InboundHarness, age_s: float) -> None:
    stale = signed(SIGNING_SECRET, BODY, at=time.time() - age_s)
    assert await http.events.post(BODY, JSON | stale) == 401
    assert http.core.enqueued == []


async def test_nothing_is_read_before_the_signature(http: InboundHarness) -> None:
    for body in (b"\xff\xfe{", b"ssl_check=1", b'{"type": "url_verification", "challenge": "x"}'):
        assert await http.events.post(body, JSON) == 401


async def test_signed_nonsense_starts_nothing_and_is_not_sent_for_again(
    http: InboundHarness,
) -> None:
    deep = b'{"event":' * 50_000 + b"1" + b"}" * 50_000
    for body in (b"", b"[]", b"\xff\xfe", b"{", b"7", b"payload=%7B", b"null", b'"x"', deep):
        for kind in (TYPE, "application/x-www-form-urlencoded", "text/plain"):
            headers = {"Content-Type": kind} | signed(SIGNING_SECRET, body)
            assert await http.events.post(body, headers) == 200, body
    assert http.core.enqueued == []
    assert await http.events.post(BODY, JSON | signed(SIGNING_SECRET, BODY)) == 200
    assert len(http.core.enqueued) == 1


async def test_a_body_longer_than_slack_sends_is_not_taken(settings: Settings) -> None:
    longer = BODY + b" "
    async with open_inbound_harness(
        settings, transport="http", limits=HttpLimits(max_body_bytes=len(BODY))
    ) as http:
        assert await http.events.post(longer, JSON | signed(SIGNING_SECRET, longer)) == 413
        assert await http.events.post(BODY, JSON | signed(SIGNING_SECRET, BODY)) == 200


async def test_slack_may_ask_whether_the_address_is_ours(http: InboundHarness) -> None:
    delivery = await http.deliver("url_verification")
    assert delivery.answer is not None
    assert delivery.answer["challenge"] == slack("url_verification")["challenge"]


async def test_the_rest_of_the_server_is_not_shown_by_get(http: InboundHarness) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(http.events.request_url) as response,
    ):
        assert response.status == 405


@examples(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**31))
def test_a_genuine_signature_is_known_and_one_flipped_bit_is_not(body: bytes, at: int) -> None:
    headers = signed(SIGNING_SECRET, body, at=at)
    stamp, signature = headers["X-Slack-Request-Timestamp"], headers["X-Slack-Signature"]
    assert is_genuine(SIGNING_SECRET, stamp, signature, body, at)
    assert not is_genuine(SIGNING_SECRET, stamp, signature, body + b"x", at)
    last = "0" if signature[-1] != "0" else "1"
    assert not is_genuine(SIGNING_SECRET, stamp, signature[:-1] + last, body, at)
    assert not is_genuine(SIGNING_SECRET, stamp, signature, body, at + MAX_AGE_S + 1)


def test_recorded_events_are_posted_as_slack_posts_them() -> None:
    assert json.loads(BODY)["event"]["text"] == "hello there"
