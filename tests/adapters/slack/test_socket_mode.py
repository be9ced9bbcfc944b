"""Socket Mode: connections are opened, replaced, and watched by their pongs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.transport.socket_mode import SocketMode, SocketTiming
from bot.background import cancel_all
from bot.errors import PlatformRefused, StoreUnavailable
from tests.fakes.slack.events import SlackEvents
from tests.fakes.slack.server import APP_TOKEN, SlackServer
from tests.payloads import slack
from tests.support.wait import wait_until

SHORT_PAUSES = SocketTiming(ping_every_s=0.05, pong_timeout_s=60, drain_s=60, first_delay_s=0.02)
SHORT_PONG_TIMEOUT = replace(SHORT_PAUSES, pong_timeout_s=0.4)
"""A short pong timeout. In a starved process a healthy connection may time out, too: then more are opened."""


class EnvelopeRecorder:
    """Envelope handler that records, and fails or waits on demand."""

    def __init__(self) -> None:
        self.envelopes: list[dict[str, Any]] = []
        self.failures = 0
        self.answer: dict[str, Any] | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, envelope: dict[str, Any]) -> dict[str, Any] | None:
        self.envelopes.append(envelope)
        await self.go.wait()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("no Redis")
        return self.answer


@asynccontextmanager
async def slack_with(events: SlackEvents) -> AsyncIterator[SlackServer]:
    async with SlackServer(socket_url=events.open_url) as server:
        yield server


@asynccontextmanager
async def run_sockets(
    events: SlackEvents, recorder: EnvelopeRecorder, timing: SocketTiming = SHORT_PAUSES
) -> AsyncIterator[SocketMode]:
    async with slack_with(events) as server, aiohttp.ClientSession() as session:
        client = AsyncWebClient(base_url=server.api_url, session=session)
        sockets = SocketMode(client, session, APP_TOKEN, recorder, timing=timing)
        running = asyncio.create_task(sockets.run())
        try:
            yield sockets
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def events() -> AsyncIterator[SlackEvents]:
    async with SlackEvents(ack_timeout_s=20) as found:
        yield found


async def test_an_event_over_the_socket_is_enqueued_and_then_acknowledged(
    events: SlackEvents,
) -> None:
    recorder = EnvelopeRecorder()
    async with run_sockets(events, recorder) as sockets:
        await wait_until(lambda: sockets.health().ready)
        delivery = await events.deliver(slack("message_im"))
    assert delivery.attempts == ["ack"]
    assert recorder.envelopes[0]["payload"]["event"]["text"] == "hello there"


async def test_an_acknowledgement_can_carry_a_message_for_the_person(events: SlackEvents) -> None:
    recorder = EnvelopeRecorder()
    recorder.answer = {"text": "Not here."}
    async with run_sockets(events, recorder) as sockets:
        await wait_until(lambda: sockets.health().ready)
        delivery = await events.deliver(slack("slash_channel_reset"))
    assert delivery.answer == {"text": "Not here."}


async def test_an_update_that_was_not_enqueued_is_not_confirmed_and_comes_again(
    events: SlackEvents,
) -> None:
    recorder = EnvelopeRecorder()
    recorder.failures = 1
    events.ack_timeout_s = 0.3
    async with run_sockets(events, recorder) as sockets:
        await wait_until(lambda: sockets.health().ready)
        under_way = asyncio.create_task(events.deliver(slack("message_im")))
        await wait_until(lambda: recorder.envelopes)
        events.ack_timeout_s = 20  # the second attempt has time
        delivery = await under_way
    assert delivery.attempts == ["no ack", "ack"]
    assert [incoming["retry_attempt"] for incoming in recorder.envelopes] == [0, 1]
    assert recorder.envelopes[1]["retry_reason"] == "timeout"


async def test_a_disconnect_is_followed_by_a_connection_with_a_url_of_its_own(
    events: SlackEvents,
) -> None:
    recorder = EnvelopeRecorder()
    async with run_sockets(events, recorder) as sockets:
        await wait_until(lambda: sockets.health().ready)
        recorder.go.clear()
        under_way = asyncio.create_task(events.deliver(slack("message_im")))
        await wait_until(lambda: recorder.envelopes)
        await events.disconnect("warning")
        await wait_until(lambda: events.issued_urls == 2 and len(events.connections) == 2)
        recorder.go.set()
        # Envelopes of the old connection are still acknowledged over it.
        assert (await under_way).attempts == ["ack"]
        await events.connections[0].socket.close()
        await wait_until(lambda: len(events.connections) == 1)
        assert (await events.deliver(slack("message_thread"))).acknowledged
        assert sockets.health().ready
    assert events.rejected_urls == 0


async def test_a_cancelled_connection_is_closed_with_its_envelope_tasks(
    events: SlackEvents,
) -> None:
    recorder = EnvelopeRecorder()
    async with slack_with(events) as server, aiohttp.ClientSession() as session:
        client = AsyncWebClient(base_url=server.api_url, session=session)
        sockets = SocketMode(client, session, APP_TOKEN, recorder, timing=SHORT_PAUSES)
        running = asyncio.create_task(sockets.run())
        await wait_until(lambda: sockets.health().ready)
        recorder.go.clear()
        under_way = asyncio.create_task(events.deliver(slack("message_im")))
        await wait_until(lambda: recorder.envelopes)
        await cancel_all([running])  # as the service does: more than once
        await wait_until(lambda: not events.connections)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("slack ")]
        await cancel_all([under_way])


async def test_a_broken_connection_is_opened_anew(events: SlackEvents) -> None:
    recorder = EnvelopeRecorder()
    async with run_sockets(events, recorder) as sockets:
        for round_ in range(1, 4):
            await wait_until(lambda: sockets.health().ready and len(events.connections) == 1)
            assert events.issued_urls == round_
            await events.cut()
            await wait_until(lambda known=round_: events.issued_urls > known)


async def test_a_refused_connection_is_tried_again_with_a_new_url(events: SlackEvents) -> None:
    events.refuse_connections = 3
    async with run_sockets(events, EnvelopeRecorder()) as sockets:
        await wait_until(lambda: sockets.health().ready)
    assert (events.issued_urls, events.rejected_urls) == (4, 0)


async def test_a_connection_without_pongs_is_replaced(events: SlackEvents) -> None:
    async with run_sockets(events, EnvelopeRecorder(), SHORT_PONG_TIMEOUT) as sockets:
        await wait_until(lambda: sockets.health().ready)
        first = events.connections[0]
        first.ignores_pings = True
        await wait_until(lambda: events.issued_urls >= 2 and sockets.health().ready)
        await wait_until(lambda: first not in events.connections)


async def test_an_idle_connection_with_pongs_stays_open(events: SlackEvents) -> None:
    async with run_sockets(events, EnvelopeRecorder()) as sockets:
        await wait_until(lambda: events.connections and events.connections[0].pings >= 12)
        assert sockets.health().ready
    assert events.issued_urls == 1


async def test_a_connection_without_hello_is_not_ready(events: SlackEvents) -> None:
    events.sends_hello = False
    async with run_sockets(events, EnvelopeRecorder()) as sockets:
        await wait_until(lambda: events.connections and events.connections[0].pings >= 2)
        assert not sockets.health().ready


async def test_a_refused_app_token_is_raised_at_once_and_an_accepted_one_connects(
    events: SlackEvents,
) -> None:
    async with (
        SlackServer(socket_url=events.open_url, app_tokens=set()) as server,
        aiohttp.ClientSession() as session,
    ):
        client = AsyncWebClient(base_url=server.api_url, session=session)
        sockets = SocketMode(client, session, APP_TOKEN, EnvelopeRecorder(), timing=SHORT_PAUSES)
        with pytest.raises(PlatformRefused):
            await sockets.request_url()
        running = asyncio.create_task(sockets.run())
        await wait_until(lambda: "not connected" in sockets.health().detail)
        assert not sockets.health().ready
        server.app_tokens.add(APP_TOKEN)
        await wait_until(lambda: sockets.health().ready)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_connection_that_slack_does_not_close_as_announced_is_closed(
    events: SlackEvents,
) -> None:
    async with run_sockets(
        events, EnvelopeRecorder(), replace(SHORT_PAUSES, close_timeout_s=0.1)
    ) as sockets:
        await wait_until(lambda: sockets.health().ready)
        first = events.connections[0]
        await events.disconnect()
        await wait_until(lambda: first not in events.connections and len(events.connections) == 1)


@pytest.mark.parametrize(
    "frame", ["", "{", "[]", "7", "null", '"hello"', "[" * 50_000, '{"envelope_id": {}}']
)
async def test_a_frame_that_is_no_envelope_closes_no_connection(
    events: SlackEvents, frame: str
) -> None:
    recorder = EnvelopeRecorder()
    async with run_sockets(events, recorder) as sockets:
        await wait_until(lambda: sockets.health().ready)
        await events.connections[0].socket.send_str(frame)
        delivery = await events.deliver(slack("message_im"))
    assert delivery.attempts == ["ack"]
    assert events.issued_urls == 1
    assert len(recorder.envelopes) == 1


async def test_a_connection_without_hello_is_opened_anew(events: SlackEvents) -> None:
    events.sends_hello = False
    async with run_sockets(events, EnvelopeRecorder(), SHORT_PONG_TIMEOUT) as sockets:
        await wait_until(lambda: events.issued_urls >= 2)
        events.sends_hello = True
        await wait_until(lambda: sockets.health().ready)
