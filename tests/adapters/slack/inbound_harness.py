"""Inbound harness: events come signed over HTTP or over a WebSocket, and a RecordingCore keeps what reaches the core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import SecretStr
from slack_bolt.async_app import AsyncApp
from starlette.routing import BaseRoute

from adapters.slack.api.places import PlaceDirectory
from adapters.slack.api.users import UserDirectory
from adapters.slack.api.workspaces import Workspaces, new_session
from adapters.slack.inbound.events import AppUninstalled, MessagePosted
from adapters.slack.inbound.parse import parse
from adapters.slack.inbound.wiring import build_dispatcher
from adapters.slack.settings import SlackSettings
from adapters.slack.transport.bolt_app import build_app, dispatch_envelope
from adapters.slack.transport.http import event_routes
from adapters.slack.transport.socket_mode import SocketMode
from bot.background import BackgroundTasks
from bot.conversation import Address
from bot.service.http import HttpLimits, create_app, serve
from bot.settings import Settings
from tests.adapters.slack.recording_core import RecordingCore
from tests.fakes.slack.events import SIGNING_SECRET, Delivery, SlackEvents
from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN, SlackServer
from tests.fakes.slack.workspace_state import Message
from tests.payloads import slack
from tests.support.wait import wait_until


@dataclass
class InboundHarness:
    """The adapter's inbound half between a loopback Slack and a RecordingCore.

    Attributes:
        notices: notices of the bot's, and where they were posted.
        uninstalled: events of removed apps.
    """

    server: SlackServer
    events: SlackEvents
    core: RecordingCore
    notices: list[tuple[Address, str]] = field(default_factory=list)
    uninstalled: list[AppUninstalled] = field(default_factory=list)

    async def deliver(self, name: str, **event_changes: Any) -> Delivery:
        """A recorded payload, its event changed; `event_id` changes the envelope."""
        event_id = event_changes.pop("event_id", None)
        body = slack(name, **event_changes)
        if event_id:
            body["event_id"] = f"Ev{event_id}"
        return await self.events.deliver(body)

    def expect_no_ack(self, *, attempts: int) -> None:
        """Slack gives up after `attempts`. Over a WebSocket a missing ack shows by waiting only, which need not be long."""
        self.events.max_attempts = attempts
        if not self.events.request_url:
            self.events.ack_timeout_s = 0.3

    def person(self, id_: str, name: str, *, team: str = "T1", admin: bool = False) -> None:
        self.server.add_person(id_, name, team_id=team, is_admin=admin)

    def post(self, channel: str, user: str, text: str, *, ts: str, thread_ts: str = "") -> None:
        bot_id = "B1" if user == "UBOT" else ""
        message = Message(ts, channel, user, text, text, thread_ts=thread_ts, bot_id=bot_id)
        self.server.space.add_message(message)

    def calls(self, method: str) -> list[dict[str, Any]]:
        return [call.args for call in self.server.called(method)]

    def fail(self, method: str, error: str, *, times: int = 1) -> None:
        self.server.fail(method, error=error, times=times)


def message_event(name: str, **changes: Any) -> MessagePosted:
    """The event in a recorded payload of a message."""
    event = parse(slack(name, **changes))
    assert isinstance(event, MessagePosted)
    return event


def slack_settings(api_url: str, **changes: Any) -> SlackSettings:
    return SlackSettings.load(
        **{"slack_bot_token": SecretStr(BOT_TOKEN), "slack_api_url": api_url, **changes}
    )


@asynccontextmanager
async def open_inbound_harness(
    settings: Settings,
    *,
    transport: str,
    names_wait_s: float = 15,
    limits: HttpLimits | None = None,
    **changes: Any,
) -> AsyncIterator[InboundHarness]:
    """A harness from the transport (`http` or `socket`) to the core. Lookups of names have time."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(SlackServer())
        events = await stack.enter_async_context(SlackEvents(ack_timeout_s=20))
        server.socket_url = events.open_url
        server.add_person("U9", "Nora", team_id="T9")
        own = slack_settings(server.api_url, **changes)
        session = await stack.enter_async_context(new_session())
        workspaces = Workspaces(own, session)
        users, places = UserDirectory(workspaces), PlaceDirectory(workspaces)
        stack.push_async_callback(users.aclose)
        stack.push_async_callback(places.aclose)
        background = BackgroundTasks()
        stack.push_async_callback(background.aclose)
        core = RecordingCore(settings)
        core.admit_admins_by(users)
        harness = InboundHarness(server, events, core)

        async def on_uninstalled(event: AppUninstalled) -> None:
            harness.uninstalled.append(event)

        def notify(address: Address, text: str) -> None:
            harness.notices.append((address, text))

        dispatcher = build_dispatcher(
            core,
            own,
            workspaces,
            users,
            places,
            background,
            notify=notify,
            on_uninstalled=on_uninstalled,
            names_wait_s=names_wait_s,
        )
        app = build_app(own, workspaces, dispatcher, core.vault, None)
        if transport == "http":
            routes = event_routes(app, SIGNING_SECRET)
            port = await stack.enter_async_context(serving_routes(routes, limits))
            events.request_url = f"http://127.0.0.1:{port}/slack/events"
        else:
            await stack.enter_async_context(_socket_mode(workspaces, session, app))
        yield harness


@asynccontextmanager
async def serving_routes(
    routes: Sequence[BaseRoute], limits: HttpLimits | None = None
) -> AsyncIterator[int]:
    """The adapter's routes on a server of their own; its port."""

    async def health() -> dict[str, str]:
        return {}

    async def metrics() -> bytes:
        return b""

    app = create_app(list(routes), health, health, metrics)
    async with serve(app, "127.0.0.1", 0, limits) as port:
        yield port


@asynccontextmanager
async def _socket_mode(
    workspaces: Workspaces, session: aiohttp.ClientSession, app: AsyncApp
) -> AsyncIterator[None]:
    sockets = SocketMode(
        workspaces.new_client(None), session, APP_TOKEN, lambda body: dispatch_envelope(app, body)
    )
    running = asyncio.create_task(sockets.run())
    try:
        await wait_until(lambda: sockets.health().ready)
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
