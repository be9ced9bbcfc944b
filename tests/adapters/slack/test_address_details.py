"""Details of Slack's addresses: stored JSON stays readable."""

from __future__ import annotations

import pytest

from adapters.slack.outbound.address_details import SlackDetails
from bot.conversation import Address, SessionKey

STORED = [
    ({"thread_ts": "1.2"}, SlackDetails("1.2")),
    ({"thread_ts": "1.2", "seed": "1"}, SlackDetails("1.2", needs_history=True)),
    ({"thread_ts": "", "home": "1"}, SlackDetails(to_direct_messages=True)),
    (
        {"thread_ts": "", "ephemeral_user": "U1", "response_url": "https://hooks.slack.test/x"},
        SlackDetails(ephemeral_user="U1", response_url="https://hooks.slack.test/x"),
    ),
]


@pytest.mark.parametrize(("stored", "details"), STORED)
def test_details_are_read_and_written_under_their_stored_keys(
    stored: dict[str, str], details: SlackDetails
) -> None:
    address = Address(SessionKey("slack", "T1", "C1", "1.2"), details=stored)
    assert SlackDetails.of(address) == details
    assert dict(details.as_mapping()) == stored


def test_an_address_without_details_has_the_defaults() -> None:
    assert SlackDetails.of(Address(SessionKey("slack", "T1", "C1"))) == SlackDetails()
