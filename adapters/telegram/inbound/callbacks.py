"""Callback queries and reactions. The person is authorized before anything else happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from telegram import (
    CallbackQuery,
    Chat,
    Message,
    MessageReactionUpdated,
    ReactionTypeEmoji,
)
from telegram.error import BadRequest

from adapters.shared.button_actions import ButtonPress, PressOutcome, perform
from adapters.telegram.api.errors import telegram_errors
from adapters.telegram.inbound.routing import (
    BotIdentity,
    foreign_place,
    session_of,
    speaker_for,
    topic_of,
)
from adapters.telegram.outbound.keyboards import Button, CallbackData, rating_buttons
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.sent_messages import SentMessages
from adapters.telegram.outbound.target import Target
from adapters.telegram.texts import (
    ADMINS_ONLY,
    NOTHING_TO_STOP,
    STOPPED,
    TAKEN_BACK,
    THANKS,
)
from adapters.telegram.topics import Topic
from bot.background import BackgroundTasks
from bot.conversation import Address, Speaker
from bot.errors import NOT_LISTED
from bot.ports import Core

log = structlog.get_logger("keepthread.telegram")

UP = frozenset("👍❤🔥🥰👏😁🎉🤩🙏👌💯⚡🏆😍🤗🫡🆒💘😘😎")
DOWN = frozenset("👎🤬😢🤮💩🤡🥴💔🤨😐🖕😡😱😭")

_ANSWERS: Mapping[PressOutcome, str] = {
    "stopped": STOPPED,
    "nothing_to_stop": NOTHING_TO_STOP,
    "rated": THANKS,
    "not_listed": NOT_LISTED,
    "not_allowed": ADMINS_ONLY,
}


@dataclass(slots=True)
class Callbacks:
    """Handles callback queries, reactions, and Telegram's own stop button. Every call may raise StoreError."""

    core: Core
    me: BotIdentity
    sender: MessageSender
    sent_messages: SentMessages
    background: BackgroundTasks

    async def press(self, query: CallbackQuery, update_id: int) -> None:
        """Handle a press of a button under one of the bot's messages."""
        data, message = CallbackData.parse(query.data or ""), query.message
        address = None if data is None or message is None else self._address(message, data.topic)
        if data is None or address is None:
            self._answer(query, "")
            return
        press = self._button_press(data, address, speaker_for(query.from_user), update_id)
        outcome = await perform(self.core, press)
        is_refused = outcome in ("not_listed", "not_allowed")
        is_taken_back = outcome == "rated" and not data.argument
        text = TAKEN_BACK if is_taken_back else _ANSWERS.get(outcome, "")
        self._answer(query, text, is_alert=is_refused)
        if outcome in ("queued", "declined"):
            self._set_buttons(address, [])
        elif outcome == "rated" and not address.shared:
            # Where several people read, one person's mark would stand for everybody's.
            self._set_buttons(address, rating_buttons(data.topic, data.argument))

    async def react(self, reaction: MessageReactionUpdated, update_id: int) -> None:
        """Handle a reaction to a message, perhaps one of the bot's."""
        user, chat = reaction.user, reaction.chat
        if user is None or user.is_bot:
            return
        topic = await self.sent_messages.topic_of(chat.id, reaction.message_id)
        emoji = [
            kind.emoji for kind in reaction.new_reaction if isinstance(kind, ReactionTypeEmoji)
        ]
        rating = CallbackData("rate", topic, rating_of(emoji))
        address = self._address_in(chat, Topic.parse(topic), reaction.message_id)
        if address is None:
            return
        await perform(self.core, self._button_press(rating, address, speaker_for(user), update_id))

    async def stop_draft(self, event: Mapping[str, Any]) -> None:
        """Handle a press of the stop button that Telegram shows beside a draft."""
        chat_id = int(event["chat"]["id"])
        thread_id = event.get("message_thread_id")
        topic = Topic("thread", int(thread_id)) if thread_id else None
        session = session_of(chat_id, topic, self.me.id)
        speaker = Speaker(str(chat_id))
        await perform(
            self.core,
            ButtonPress("stop", "", Address(session, recipient_id=speaker.id), speaker),
        )

    def _button_press(
        self, data: CallbackData, address: Address, speaker: Speaker, update_id: int
    ) -> ButtonPress:
        message_id = address.reply_to_id
        dedupe: tuple[str, ...] = ()
        if data.action == "command":  # it runs once, however often the button is pressed
            message_id = f"{message_id}:pressed"
            dedupe = (f"telegram:{self.me.id}:{address.session.place}:{message_id}",)
        return ButtonPress(
            data.action,
            data.argument,
            address,
            speaker,
            message_id=message_id,
            event_id=f"telegram:{self.me.id}:{update_id}",
            dedupe=dedupe,
        )

    def _address(self, message: Any, topic: str) -> Address | None:
        """The address of a button's message, which knows its topic best, if it can still be read."""
        if not isinstance(message, Message):
            return self._address_in(message.chat, Topic.parse(topic), message.message_id)
        if foreign_place(message):
            return None
        return self._address_in(message.chat, topic_of(message), message.message_id)

    def _address_in(self, chat: Chat, topic: Topic | None, message_id: int) -> Address | None:
        """The address of a message; None if it is in the direct messages of nobody knows whom."""
        is_direct = topic is not None and topic.kind == "direct"
        if chat.is_direct_messages and not is_direct:
            return None
        return Address(
            session_of(chat.id, topic, self.me.id),
            place_kind="private" if chat.type == Chat.PRIVATE or is_direct else "group",
            reply_to_id=str(message_id),
        )

    def _answer(self, query: CallbackQuery, text: str, *, is_alert: bool = False) -> None:
        async def answer() -> None:
            with telegram_errors():
                try:
                    await query.answer(text or None, show_alert=is_alert)
                except BadRequest:
                    log.info("callback query expired")  # Telegram waits for some seconds only

        self.background.add("answer callback query", answer())

    def _set_buttons(self, address: Address, buttons: list[Button]) -> None:
        self.background.add(
            "set buttons",
            self.sender.set_buttons(Target.of(address), int(address.reply_to_id), buttons),
        )


def rating_of(emoji: list[str]) -> str:
    """`up`, `down`, or `""` for reactions that are neither, or none."""
    plain = {symbol.rstrip("\ufe0f") for symbol in emoji}
    if plain & DOWN:
        return "down"
    return "up" if plain & UP else ""
