"""Slack's ear in a test: events come signed over HTTP or over a link, and what reaches the core is on tape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from adapters.slack.api.threads import ThreadLookup
from adapters.slack.api.users import UserDirectory
from adapters.slack.api.workspaces import Workspaces, new_session
from adapters.slack.app_home import AppHome
from adapters.slack.assistant import Assistant
from adapters.slack.inbound.dispatcher import Dispatcher
from adapters.slack.inbound.events import AppUninstalled
from adapters.slack.inbound.interactions import Interactions
from adapters.slack.settings import SlackSettings
from adapters.slack.transport.bolt_app import build_app, dispatch
from adapters.slack.transport.http import MAX_BODY_BYTES, event_routes
from adapters.slack.transport.socket_mode import SocketMode
from bot.background import BackgroundTasks
from bot.conversation import Address
from bot.service.http import create_app
from bot.service.http import serve as serve_http
from bot.settings import Settings
from tests.adapters.slack.recording_core import RecordingCore
from tests.fakes.slack.events import SIGNING_SECRET, Delivery, SlackEvents
from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN, SlackServer
from tests.fakes.slack.workspace_state import Message
from tests.payloads import slack
from tests.support.wait import wait_until


@dataclass
class InboundHarness:
    """What a test works with.

    Attributes:
        said: words of the bot's own, and where they went.
        removed: workspaces the app was removed from.
    """

    server: SlackServer
    events: SlackEvents
    core: RecordingCore
    workspaces: Workspaces
    users: UserDirectory
    home: AppHome
    said: list[tuple[Address, str]] = field(default_factory=list)
    removed: list[AppUninstalled] = field(default_factory=list)

    async def deliver(self, name: str, **event_changes: Any) -> Delivery:
        """A recorded payload, its event changed; `event_id` changes the envelope."""
        event_id = event_changes.pop("event_id", None)
        body = slack(name, **event_changes)
        if event_id:
            body["event_id"] = f"Ev{event_id}"
        return await self.events.deliver(body)

    def expect_no_ack(self, *, attempts: int) -> None:
        """Over HTTP a status says so; over a link only a silence, which need not be long."""
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
    max_body_bytes: int = MAX_BODY_BYTES,
    **changes: Any,
) -> AsyncIterator[InboundHarness]:
    """The whole ear, from the wire to the core. `transport`: `http` or `socket`. It has time to ask for names."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(SlackServer())
        events = await stack.enter_async_context(SlackEvents(ack_timeout_s=20))
        server.open_link = events.open_url
        server.add_person("U9", "Nora", team_id="T9")
        own = slack_settings(server.api_url, **changes)
        session = new_session()
        stack.push_async_callback(session.close)
        workspaces = Workspaces(own, session)
        users = UserDirectory(workspaces)
        stack.push_async_callback(users.aclose)
        background = BackgroundTasks()
        stack.push_async_callback(background.aclose)
        core = RecordingCore(settings)

        async def is_admin(address: Address, speaker: Any) -> bool:
            return await users.is_admin(address.session.account, speaker.id)

        core.access.admin_checks = {"slack": is_admin}
        home = AppHome(core, workspaces, users)
        world = InboundHarness(server, events, core, workspaces, users, home)

        async def removed(one: AppUninstalled) -> None:
            world.removed.append(one)

        def say(address: Address, text: str) -> None:
            world.said.append((address, text))

        dispatcher = Dispatcher(
            core, own, workspaces, users, ThreadLookup(workspaces), Interactions(core, users, home, background, say),
            home, Assistant(workspaces), background, say, removed, names_wait_s,
        )  # fmt: skip
        app = build_app(own, workspaces, dispatcher, core.vault, None)
        if transport == "http":
            application = create_app(
                event_routes(app, SIGNING_SECRET, max_body_bytes=max_body_bytes),
                _fine,
                _fine,
                _nothing,
            )
            port = await stack.enter_async_context(serve_http(application, "127.0.0.1", 0))
            events.request_url = f"http://127.0.0.1:{port}/slack/events"
        else:
            link = SocketMode(
                workspaces.new_client(None), session, APP_TOKEN, lambda body: dispatch(app, body)
            )
            running = asyncio.create_task(link.run())

            async def hang_up() -> None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

            stack.push_async_callback(hang_up)
            await wait_until(lambda: link.health().ready)
        yield world


async def _fine() -> dict[str, str]:
    return {}


async def _nothing() -> bytes:
    return b""
