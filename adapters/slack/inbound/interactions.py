"""What people press and choose: buttons, message shortcuts, the slash command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from adapters.slack import action_ids
from adapters.slack.inbound.events import BlockAction, MessagePosted, MessageShortcut, SlashCommand
from adapters.slack.inbound.routing import address_of, ephemeral_address
from bot.conversation import Address, Incoming, SessionKey, Speaker
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


Notify = Callable[[Address, str], None]
"""Says a word of the bot's own, some time soon."""


@dataclass(slots=True)
class Interactions:
    """Turns what was pressed into commands, feedback and stops. Every call raises StoreError."""

    core: Core
    users: UserDirectory
    home: AppHome
    background: BackgroundTasks
    notify: Notify
    names_wait_s: float = 1.2

    async def block_action(self, press: BlockAction) -> None:
        carried = action_ids.read_button(press.value)
        if carried is None:
            log.info("a button of somebody else", action=press.action)
            return
        session, word = carried
        at_home = press.action in (action_ids.HOME_RESET, action_ids.HOME_EXPORT)
        if session.platform != action_ids.PLATFORM or (
            not at_home and session.place != press.channel
        ):
            log.warning("a button out of place", action=press.action, session=str(session))
            return
        speaker = await self._speaker(session.account, press.user, press.user_team)
        address = _address(session, speaker, home=at_home)
        if press.action == action_ids.FEEDBACK:
            await self._put(
                address, speaker, word, press.interaction_id, "feedback", press.message_ts
            )
            return
        command = _command(press.action, word)
        if not command:
            return  # an offer declined
        allowed = await self.core.allowed(address, speaker, command.split()[0])
        if not allowed or (at_home and not await self.home.can_access(session, press.user)):
            self._refuse(address, speaker, press.response_url)
        elif press.action == action_ids.STOP:
            await self.core.stop(session, speaker)
        else:
            await self._put(address, speaker, command, press.interaction_id, "command")
            if press.action == action_ids.HOME_RESET:
                self.background.add("App Home", self.home.publish_later(press.team, press.user))

    async def message_shortcut(self, used: MessageShortcut) -> None:
        message = used.message
        speaker = await self._speaker(message.team, used.user, used.user_team)
        address = ephemeral_address(address_of(message), speaker, used.response_url)
        if used.callback == action_ids.RESET_SHORTCUT:
            await self._put(address, speaker, "reset", used.interaction_id, "command")
        elif used.callback == action_ids.FORGET_SHORTCUT:
            await self._forget(message, address, speaker, used)

    async def slash_command(self, slash: SlashCommand) -> dict[str, Any] | None:
        """What Slack is to show at once to the person, or None if the core will answer."""
        command = slash.text or "help"
        name = command.split()[0].lower()
        known = {name for spec in self.core.commands() for name in spec.names}
        if slash.kind != "private" and name in known and name not in ALLOWED_ANYWHERE:
            text = NOT_IN_CHANNELS.format(name=name)
            return {"response_type": "ephemeral", "text": text}
        speaker = await self._speaker(slash.team, slash.user, slash.team)
        message = MessagePosted(slash.team, slash.channel, slash.kind, slash.user, ts="")
        address = ephemeral_address(address_of(message), speaker, slash.response_url)
        await self._put(address, speaker, command, slash.interaction_id, "command")
        return None

    async def _forget(
        self, message: MessagePosted, address: Address, speaker: Speaker, used: MessageShortcut
    ) -> None:
        """Everybody may have their own words forgotten; those of others, whoever may `undo` there."""
        own = message.user == used.user and not message.by_bot
        if not await self.core.allowed(address, speaker, "talk" if own else "undo"):
            self._refuse(address, speaker, used.response_url)
            return
        await self._put(address, speaker, "", used.interaction_id, "delete", message.ts)
        self.notify(address, "I forget that message.")

    async def _put(
        self,
        address: Address,
        speaker: Speaker,
        text: str,
        interaction_id: str,
        kind: Any,
        message_id: str = "",
    ) -> None:
        incoming = Incoming(
            address,
            speaker,
            text,
            message_id=message_id or f"press:{interaction_id}",
            event_id=f"slack:press:{interaction_id}" if interaction_id else "",
            kind=kind,
        )
        admission = await self.core.enqueue(incoming)
        if admission == "refused":
            self._refuse(address, speaker)

    async def _speaker(self, team: str, user: str, claimed_team: str) -> Speaker:
        return await self.users.speaker(
            team, user, claimed_team=claimed_team, external=True, wait_s=self.names_wait_s
        )

    def _refuse(self, address: Address, speaker: Speaker, response_url: str = "") -> None:
        self.notify(ephemeral_address(address, speaker, response_url), NOT_ALLOWED)


def _command(action: str, word: str) -> str:
    if action.startswith(action_ids.OFFER):
        return word
    return {
        action_ids.STOP: "stop",
        action_ids.AGAIN: "retry",
        action_ids.HOME_RESET: "reset",
        action_ids.HOME_EXPORT: "export",
    }.get(action, "")


def _address(session: SessionKey, speaker: Speaker, *, home: bool) -> Address:
    private = session.place.startswith("D")
    details = {"thread_ts": session.thread} | ({"home": "1"} if home else {})
    return Address(
        session,
        "private" if private else "channel",
        recipient_id="" if private and not home else speaker.id,
        recipient_account="" if private and not home else speaker.account,
        details=details,
    )
