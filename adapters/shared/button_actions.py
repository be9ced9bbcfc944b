"""Actions of pressed buttons, once the adapter has decoded them: authorize, then stop, rate or command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.conversation import Address, Incoming, Speaker
from bot.ports import Core

ButtonAction = Literal["stop", "rate", "command"]

PressOutcome = Literal[
    "stopped", "nothing_to_stop", "rated", "queued", "declined", "not_listed", "not_allowed"
]
"""`queued`: the command waits in the inbox. `declined`: an offer was refused by its button.
`not_listed`: the person may not talk with the bot. `not_allowed`: not this command, not here."""


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """Decoded press of one of the bot's buttons.

    Attributes:
        action: `stop` the running answer, `rate` a message, or run a `command`.
        argument: `up`, `down` or `""` of a rating; the command and its arguments, `""` to decline it.
        address: the conversation that the button belongs to.
        speaker: the person who pressed it.
        message_id: of the rated message; of a command, an id of its own.
        event_id: the platform's id of the press.
        dedupe: further ids of the press; see `bot.ports.Core.enqueue`.
    """

    action: ButtonAction
    argument: str
    address: Address
    speaker: Speaker
    message_id: str = ""
    event_id: str = ""
    dedupe: tuple[str, ...] = ()

    @property
    def required_right(self) -> str:
        """The action that the authorizer is asked about."""
        if self.action == "stop":
            return "stop"
        words = self.argument.split() if self.action == "command" else []
        return words[0].lower() if words else "talk"


async def perform(core: Core, press: ButtonPress) -> PressOutcome:
    """Do what a button stands for, if the person may. Raises StoreError: the press must come again."""
    address, speaker = press.address, press.speaker
    if not await core.allowed(address, speaker, press.required_right):
        return "not_allowed" if await core.allowed(address, speaker) else "not_listed"
    if press.action == "stop":
        return "stopped" if await core.stop(address.session, speaker) else "nothing_to_stop"
    if press.action == "command" and not press.argument.strip():
        return "declined"
    incoming = Incoming(
        address,
        speaker,
        press.argument,
        message_id=press.message_id,
        event_id=press.event_id,
        kind="feedback" if press.action == "rate" else "command",
    )
    if await core.enqueue(incoming, dedupe=press.dedupe) == "refused":
        return "not_listed"
    return "rated" if press.action == "rate" else "queued"
