"""Fixtures of Slack's tests: loopback servers and harnesses."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.settings import Settings
from tests.adapters.slack.inbound_harness import InboundHarness, open_inbound_harness
from tests.adapters.slack.outbound_harness import OutboundHarness, open_outbound_harness
from tests.adapters.slack.serve_process import ServeProcesses
from tests.fakes.model_server import ModelServer
from tests.fakes.slack.people import SlackWorkspace, slack_workspace
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


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorkspace]:
    async with slack_workspace() as found:
        yield found


@pytest.fixture
def processes(
    slack: SlackWorkspace, model: ModelServer, redis_url: str, tmp_path: Path
) -> ServeProcesses:
    return ServeProcesses(slack, model, redis_url, f"kt-{uuid.uuid4().hex[:8]}", tmp_path)
