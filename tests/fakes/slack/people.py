"""People of a loopback workspace: their actions change it, and Slack sends the app the events of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.slack.events import Delivery, SlackEvents
from tests.fakes.slack.server import SlackServer
from tests.fakes.slack.workspace_state import Message, buttons_of

BOT = "<@UBOT>"
Json = dict[str, Any]


@dataclass
class SlackWorkspace:
    """`async with slack_workspace() as slack`; then `await slack.say("C1", "U1", "<@UBOT> hello")`.

    Attributes:
        deliveries: of all events, in order.
    """

    server: SlackServer
    events: SlackEvents
    deliveries: list[Delivery] = field(default_factory=list)
    _count: Any = field(default_factory=lambda: itertools.count(1))

    async def say(
        self,
        channel: str,
        user: str,
        text: str,
        thread_ts: str = "",
        *,
        files: list[Json] | None = None,
    ) -> str:
        """A person posts a message; its `ts`. A mention is sent twice, under two event ids."""
        ts = self.server.say(channel, user, text, thread_ts, files=files)
        event = self.message_event(channel, user, text, ts, thread_ts, files)
        await self.send_event(event)
        if BOT in text and not channel.startswith("D"):
            twin = {key: value for key, value in event.items() if key != "channel_type"}
            await self.send_event(twin | {"type": "app_mention"})
        return ts

    def message_event(
        self,
        channel: str,
        user: str,
        text: str,
        ts: str,
        thread_ts: str = "",
        files: list[Json] | None = None,
    ) -> Json:
        team = self.server.space.people[user]["team_id"]
        event: Json = {
            "type": "message",
            "channel": channel,
            "channel_type": self._channel_type(channel),
            "user": user,
            "team": team,
            "text": text,
            "ts": ts,
            "event_ts": ts,
        }
        if team != "T1":
            event |= {"user_team": team, "source_team": team}
        if thread_ts:
            event["thread_ts"] = thread_ts
        if files:
            event |= {"subtype": "file_share", "files": files}
        return event

    async def edit(self, channel: str, ts: str, text: str) -> None:
        message = self._message(channel, ts)
        before = message.to_json(with_metadata=False)
        message.text = message.fallback = text
        now = message.to_json(with_metadata=False)
        now["edited"] = {"user": message.user, "ts": self.server.space.new_ts()}
        await self._changed(channel, "message_changed", message=now, previous_message=before)

    async def delete(self, channel: str, ts: str) -> None:
        message = self._message(channel, ts)
        message.deleted = True
        before = message.to_json(with_metadata=False)
        await self._changed(channel, "message_deleted", deleted_ts=ts, previous_message=before)

    async def react(
        self, channel: str, ts: str, user: str, name: str, *, back: bool = False
    ) -> None:
        message = self._message(channel, ts)
        await self.send_event(
            {
                "type": "reaction_removed" if back else "reaction_added",
                "user": user,
                "reaction": name,
                "item_user": message.user,
                "item": {"type": "message", "channel": channel, "ts": ts},
                "event_ts": self.server.space.new_ts(),
            }
        )

    async def press(self, message: Message, user: str, label: str) -> Delivery:
        """Press a button under a message, by its label."""
        button = next(button for button in message.buttons if button["text"] == label)
        shown = message.to_json(with_metadata=False)
        return await self._interact(
            user,
            {
                "type": "block_actions",
                "container": {
                    "type": "message",
                    "message_ts": message.ts,
                    "channel_id": message.channel,
                },
                "channel": {"id": message.channel, "name": "general"},
                "message": shown,
                "response_url": self.server.response_url(message.channel, user, message.thread_ts),
                "actions": [
                    {
                        "type": "button",
                        "action_id": button["action_id"],
                        "value": button.get("value", ""),
                        "action_ts": self.server.space.new_ts(),
                    }
                ],
            },
        )

    async def press_home(self, user: str, label: str) -> Delivery:
        """Press the first button of App Home with that label."""
        view = self.server.space.homes[user]
        button = next(button for button in buttons_of(view["blocks"]) if button["text"] == label)
        return await self._interact(
            user,
            {
                "type": "block_actions",
                "container": {"type": "view", "view_id": "V1"},
                "view": {"id": "V1", "type": "home"},
                "actions": [
                    {
                        "type": "button",
                        "action_id": button["action_id"],
                        "value": button["value"],
                        "action_ts": self.server.space.new_ts(),
                    }
                ],
            },
        )

    async def stop(self, channel: str, thread_ts: str, user: str) -> None:
        """Slack's own stop button, which it shows while an agent's session is processing."""
        growing = [
            message.ts for message in self.server.answers(channel, thread_ts) if message.streaming
        ]
        await self.send_event(
            {
                "type": "agent_session_stopped",
                "channel": channel,
                "thread_ts": thread_ts,
                "user": user,
                "streaming_message_ts": growing,
                "event_ts": self.server.space.new_ts(),
            }
        )

    async def use_shortcut(self, callback: str, message: Message, user: str) -> Delivery:
        return await self._interact(
            user,
            {
                "type": "message_action",
                "callback_id": callback,
                "channel": {"id": message.channel, "name": "general"},
                "message": message.to_json(with_metadata=False),
                "message_ts": message.ts,
                "response_url": self.server.response_url(message.channel, user, message.thread_ts),
            },
        )

    async def slash(self, channel: str, user: str, text: str) -> Delivery:
        is_direct = channel.startswith("D")
        return await self._deliver(
            {
                "team_id": "T1",
                "channel_id": channel,
                "channel_name": "directmessage" if is_direct else "general",
                "user_id": user,
                "command": "/keepthread",
                "text": text,
                "api_app_id": "A1",
                "response_url": self.server.response_url(channel, user),
                "trigger_id": f"1.2.{next(self._count)}",
            }
        )

    async def open_home(self, user: str) -> None:
        await self.send_event(
            {"type": "app_home_opened", "user": user, "channel": "D1", "tab": "home"}
        )

    async def send_event(self, event: Json) -> Delivery:
        """Send an event to the app until it is acknowledged."""
        return await self._deliver(self.envelope(event))

    def envelope(self, event: Json) -> Json:
        is_shared = any(person["team_id"] != "T1" for person in self.server.space.people.values())
        return {
            "token": "verification",
            "team_id": "T1",
            "api_app_id": "A1",
            "type": "event_callback",
            "event_id": f"Ev{next(self._count):06d}",
            "event_time": int(time.time()),
            "is_ext_shared_channel": is_shared,
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": "T1",
                    "user_id": "UBOT",
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "event": event,
        }

    def finished(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """The bot's messages that are complete and not empty, in order."""
        return [
            message
            for message in self.server.answers(channel, thread_ts)
            if not message.streaming and message.text.strip()
        ]

    async def _interact(self, user: str, body: Json) -> Delivery:
        person = self.server.space.people[user]
        return await self._deliver(
            {
                "user": {"id": user, "username": person["name"], "team_id": person["team_id"]},
                "api_app_id": "A1",
                "team": {"id": "T1", "domain": "acme"},
                "trigger_id": f"1.2.{next(self._count)}",
                **body,
            }
        )

    async def _deliver(self, body: Json) -> Delivery:
        delivery = await self.events.deliver(body)
        self.deliveries.append(delivery)
        return delivery

    async def _changed(self, channel: str, subtype: str, **more: Any) -> None:
        ts = self.server.space.new_ts()
        await self.send_event(
            {
                "type": "message",
                "subtype": subtype,
                "hidden": True,
                "channel": channel,
                "channel_type": self._channel_type(channel),
                "ts": ts,
                "event_ts": ts,
                **more,
            }
        )

    def _message(self, channel: str, ts: str) -> Message:
        message = self.server.space.channel(channel).find(ts)
        assert message is not None, f"no message {ts} in {channel}"
        return message

    def _channel_type(self, channel: str) -> str:
        kind = self.server.space.channel(channel).kind
        return {"private": "im", "group": "mpim"}.get(kind, "channel")


@asynccontextmanager
async def slack_workspace(**changes: Any) -> AsyncIterator[SlackWorkspace]:
    """A workspace whose events come over Socket Mode, until `events.request_url` is set."""
    async with (
        SlackEvents(ack_timeout_s=60) as events,
        SlackServer(socket_url=events.open_url, **changes) as server,
    ):
        yield SlackWorkspace(server, events)
