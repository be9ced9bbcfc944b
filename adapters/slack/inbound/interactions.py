"""Interactions: buttons, Slack's own stop button, message shortcuts, the slash command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from adapters.shared.button_actions import ButtonPress, perform
from adapters.slack import action_ids
from adapters.slack.inbound.events import (
    AgentSessionStopped,
    BlockAction,
    MessagePosted,
    MessageShortcut,
    SlashCommand,
)
from adapters.slack.inbound.messages import NAMES_WAIT_S, Notify
from adapters.slack.inbound.routing import address_of, ephemeral_address
from adapters.slack.outbound.address_details import SlackDetails
from bot.conversation import Address, Incoming, IncomingKind, SessionKey, Speaker
from bot.errors import NOT_ALLOWED

if TYPE_CHECKING:
    from adapters.slack.api.users import UserDirectory
    from adapters.slack.app_home import AppHome
    from bot.background import BackgroundTasks
    from bot.ports import Core

log = structlog.get_logger("keepthread.slack")

ALLOWED_ANYWHERE = ("help", "whoami")
"""Commands that concern no conversation, so that they make sense at the top level of a channel."""

NOT_IN_CHANNELS = (
    "In a channel every thread is a conversation of its own, and Slack does not let slash commands "
    "into threads. Write `!{name}` in the thread, or mention me there with the word `{name}`."
)


@dataclass(slots=True)
class Interactions:
    """Turns interactions into commands, feedback and stops. Every call raises StoreError."""

    core: Core
    users: UserDirectory
    home: AppHome
    background: BackgroundTasks
    notify: Notify
    names_wait_s: float = NAMES_WAIT_S

    async def block_action(self, action: BlockAction) -> None:
        """A button was pressed."""
        decoded = action_ids.read_button(action.value)
        if decoded is None:
            log.info("button of another app ignored", action=action.action_id)
            return
        session, argument = decoded
        is_home = action.action_id in (action_ids.HOME_RESET, action_ids.HOME_EXPORT)
        if session.platform != action_ids.PLATFORM or (
            not is_home and session.place != action.channel
        ):
            log.warning(
                "button of another channel ignored", action=action.action_id, session=str(session)
            )
            return
        speaker = await self._speaker(session.account, action.user, action.user_team)
        address = _button_address(session, speaker, is_home=is_home)
        if is_home and not await self.home.can_access(session, action.user):
            self._refuse(address, speaker, action.response_url)
            return
        outcome = await perform(self.core, _button_press(action, argument, address, speaker))
        if outcome in ("not_listed", "not_allowed"):
            self._refuse(address, speaker, action.response_url)
        elif outcome == "queued" and action.action_id == action_ids.HOME_RESET:
            self.background.add("App Home", self.home.publish_later(action.team, action.user))

    async def agent_session_stopped(self, stopped: AgentSessionStopped) -> None:
        """Slack's own stop button was pressed."""
        speaker = await self.users.speaker(
            stopped.team, stopped.user, external=stopped.external, wait_s=self.names_wait_s
        )
        session = SessionKey(action_ids.PLATFORM, stopped.team, stopped.channel, stopped.thread_ts)
        is_private = stopped.channel.startswith("D")
        address = Address(session, "private" if is_private else "channel")
        if await self.core.allowed(address, speaker, "stop"):
            await self.core.stop(session, speaker)

    async def message_shortcut(self, shortcut: MessageShortcut) -> None:
        message = shortcut.message
        speaker = await self._speaker(message.team, shortcut.user, shortcut.user_team)
        address = ephemeral_address(address_of(message), speaker, shortcut.response_url)
        if shortcut.callback_id == action_ids.RESET_SHORTCUT:
            await self._enqueue(address, speaker, "reset", shortcut.interaction_id, "command")
        elif shortcut.callback_id == action_ids.FORGET_SHORTCUT:
            await self._forget_message(message, address, speaker, shortcut)

    async def slash_command(self, slash: SlashCommand) -> dict[str, Any] | None:
        """The response to show the person at once, or None if the core will answer."""
        command = slash.text or "help"
        name = command.split()[0].lower()
        known = {name for spec in self.core.commands() for name in spec.names}
        if slash.kind != "private" and name in known and name not in ALLOWED_ANYWHERE:
            text = NOT_IN_CHANNELS.format(name=name)
            return {"response_type": "ephemeral", "text": text}
        speaker = await self._speaker(slash.team, slash.user, slash.team)
        message = MessagePosted(slash.team, slash.channel, slash.kind, slash.user, ts="")
        address = ephemeral_address(address_of(message), speaker, slash.response_url)
        await self._enqueue(address, speaker, command, slash.interaction_id, "command")
        return None

    async def _forget_message(
        self, message: MessagePosted, address: Address, speaker: Speaker, shortcut: MessageShortcut
    ) -> None:
        """Anybody may have their own messages forgotten; those of others, whoever may `undo` there."""
        is_own = message.user == shortcut.user and not message.by_bot
        if not await self.core.allowed(address, speaker, "talk" if is_own else "undo"):
            self._refuse(address, speaker, shortcut.response_url)
            return
        await self._enqueue(address, speaker, "", shortcut.interaction_id, "delete", message.ts)
        self.notify(address, "I forget that message.")

    async def _enqueue(
        self,
        address: Address,
        speaker: Speaker,
        text: str,
        interaction_id: str,
        kind: IncomingKind,
        message_id: str = "",
    ) -> None:
        incoming = Incoming(
            address,
            speaker,
            text,
            message_id=message_id or _press_id(interaction_id),
            event_id=_event_id(interaction_id),
            kind=kind,
        )
        if await self.core.enqueue(incoming) == "refused":
            self._refuse(address, speaker)

    async def _speaker(self, team: str, user: str, claimed_team: str) -> Speaker:
        return await self.users.speaker(
            team, user, claimed_team=claimed_team, external=True, wait_s=self.names_wait_s
        )

    def _refuse(self, address: Address, speaker: Speaker, response_url: str = "") -> None:
        self.notify(ephemeral_address(address, speaker, response_url), NOT_ALLOWED)


def _press_id(interaction_id: str) -> str:
    return f"press:{interaction_id}"


def _event_id(interaction_id: str) -> str:
    return f"slack:press:{interaction_id}" if interaction_id else ""


_COMMANDS = {
    action_ids.RETRY: "retry",
    action_ids.HOME_RESET: "reset",
    action_ids.HOME_EXPORT: "export",
}


def _button_press(
    action: BlockAction, argument: str, address: Address, speaker: Speaker
) -> ButtonPress:
    """The press of a button whose value holds `argument`."""
    message_id, event_id = _press_id(action.interaction_id), _event_id(action.interaction_id)
    if action.action_id == action_ids.STOP:
        return ButtonPress("stop", "", address, speaker, message_id, event_id)
    if action.action_id == action_ids.FEEDBACK:
        return ButtonPress("rate", argument, address, speaker, action.message_ts, event_id)
    is_offer = action.action_id.startswith(action_ids.OFFER)
    command = argument if is_offer else _COMMANDS.get(action.action_id, "")
    return ButtonPress("command", command, address, speaker, message_id, event_id)


def _button_address(session: SessionKey, speaker: Speaker, *, is_home: bool) -> Address:
    """Where to answer a press; `is_home`: in the person's direct messages, as App Home has no messages."""
    is_private = session.place.startswith("D")
    is_named = is_home or not is_private
    return Address(
        session,
        "private" if is_private else "channel",
        recipient_id=speaker.id if is_named else "",
        recipient_account=speaker.account if is_named else "",
        details=SlackDetails(session.thread, to_direct_messages=is_home).as_mapping(),
    )
