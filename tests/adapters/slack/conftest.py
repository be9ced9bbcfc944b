"""Fixtures of Slack's tests: loopback servers and harnesses."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.settings import Settings
from tests.adapters.slack.inbound_harness import InboundHarness, open_inbound_harness
from tests.adapters.slack.outbound_harness import OutboundHarness, open_outbound_harness
from tests.fakes.slack.server import SlackServer


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with SlackServer() as found:
        yield found


@pytest.fixture
async def outbound() -> AsyncIterator[OutboundHarness]:
    async with open_outbound_harness() as found:
        yield found


@pytest.fixture(params=["http", "socket"])
async def inbound(
    request: pytest.FixtureRequest, settings: Settings
) -> AsyncIterator[InboundHarness]:
    """Once for each transport."""
    async with open_inbound_harness(settings, transport=request.param) as found:
        yield found


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[InboundHarness]:
    """For behaviour that does not depend on the transport."""
    async with open_inbound_harness(settings, transport="http") as found:
        yield found
