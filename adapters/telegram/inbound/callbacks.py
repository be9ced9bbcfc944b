"""Buttons and reactions. Who presses is authorized before anything else happens."""

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

from adapters.telegram.api.errors import telegram_errors
from adapters.telegram.inbound.parse import BotIdentity, session_of, speaker_for, topic_of
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
from bot.background import BackgroundTasks
from bot.conversation import Address, Incoming, Speaker
from bot.errors import NOT_LISTED
from bot.ports import Core

log = structlog.get_logger("keepthread.telegram")

UP = frozenset("👍❤🔥🥰👏😁🎉🤩🙏👌💯⚡🏆😍🤗🫡🆒💘😘😎")
DOWN = frozenset("👎🤬😢🤮💩🤡🥴💔🤨😐🖕😡😱😭")


@dataclass(slots=True)
class Callbacks:
    """Takes presses, reactions and words to stop a draft."""

    core: Core
    me: BotIdentity
    sender: MessageSender
    sent_messages: SentMessages
    background: BackgroundTasks

    async def press(self, query: CallbackQuery, update_id: int) -> None:
        """Somebody pressed a button of ours. Raises StoreError: it must come again."""
        press, message = CallbackData.parse(query.data or ""), query.message
        if press is None or message is None:
            self._answer(query, "")
            return
        address = self._address(message, press.topic)
        speaker = speaker_for(query.from_user)
        if not await self.core.allowed(address, speaker):
            self._answer(query, NOT_LISTED, is_alert=True)
            return
        if press.word == "stop":
            stopped = await self.core.stop(address.session, speaker)
            self._answer(query, STOPPED if stopped else NOTHING_TO_STOP)
        elif press.word == "rate":
            await self._rate(query, press, address, speaker, update_id)
        else:
            await self._do(query, press, address, speaker, update_id)

    async def react(self, reaction: MessageReactionUpdated, update_id: int) -> None:
        """Somebody reacted to a message, perhaps one of ours. Raises StoreError."""
        user, chat = reaction.user, reaction.chat
        if user is None or user.is_bot:
            return
        topic = await self.sent_messages.topic_of(chat.id, reaction.message_id)
        address = self._address_in(chat, topic, reaction.message_id)
        if await self.core.allowed(address, speaker_for(user)):
            emoji = [
                one.emoji for one in reaction.new_reaction if isinstance(one, ReactionTypeEmoji)
            ]
            await self._put_rating(
                address, speaker_for(user), rating_of(emoji), reaction.message_id, update_id
            )

    async def stop_draft(self, event: Mapping[str, Any]) -> None:
        """Telegram's own stop button beside a draft. Raises StoreError."""
        chat_id = int(event["chat"]["id"])
        session = session_of(chat_id, event.get("message_thread_id"), self.me.id)
        speaker = Speaker(str(chat_id))
        if await self.core.allowed(Address(session, recipient_id=speaker.id), speaker, "stop"):
            await self.core.stop(session, speaker)

    async def _rate(
        self,
        query: CallbackQuery,
        press: CallbackData,
        address: Address,
        speaker: Speaker,
        update_id: int,
    ) -> None:
        message_id = int(address.reply_to_id)
        await self._put_rating(address, speaker, press.rest, message_id, update_id)
        self._answer(query, THANKS if press.rest else TAKEN_BACK)
        if not address.shared:  # elsewhere one person's mark would stand for everybody's
            self._set_buttons(address, rating_buttons(press.topic, press.rest))

    async def _do(
        self,
        query: CallbackQuery,
        press: CallbackData,
        address: Address,
        speaker: Speaker,
        update_id: int,
    ) -> None:
        """Put in the command that an offer stands for: once, however often it is pressed."""
        name = press.rest.partition(" ")[0]
        if name and not await self.core.allowed(address, speaker, name):
            self._answer(query, ADMINS_ONLY, is_alert=True)
            return
        if name:
            where = f"telegram:{self.me.id}:{address.session.place}:{address.reply_to_id}"
            await self.core.enqueue(
                Incoming(
                    address,
                    speaker,
                    press.rest,
                    message_id=f"{address.reply_to_id}:pressed",
                    event_id=f"telegram:{self.me.id}:{update_id}",
                    kind="command",
                ),
                dedupe=(f"{where}:pressed",),
            )
        self._answer(query, "")
        self._set_buttons(address, [])

    async def _put_rating(
        self, address: Address, speaker: Speaker, rating: str, message_id: int, update_id: int
    ) -> None:
        await self.core.enqueue(
            Incoming(
                address,
                speaker,
                rating,
                message_id=str(message_id),
                event_id=f"telegram:{self.me.id}:{update_id}",
                kind="feedback",
            )
        )

    def _address(self, message: Any, topic: str) -> Address:
        """Where a pressed button is. The message itself knows best, if it can still be read."""
        if isinstance(message, Message):
            topic = str(topic_of(message) or "")
        return self._address_in(message.chat, topic, message.message_id)

    def _address_in(self, chat: Chat, topic: str, message_id: int) -> Address:
        is_topic = topic.isascii() and topic.isdecimal()
        return Address(
            session_of(chat.id, int(topic) if is_topic else None, self.me.id),
            place_kind="private" if chat.type == Chat.PRIVATE else "group",
            reply_to_id=str(message_id),
        )

    def _answer(self, query: CallbackQuery, text: str, *, is_alert: bool = False) -> None:
        async def answer() -> None:
            with telegram_errors():
                try:
                    await query.answer(text or None, show_alert=is_alert)
                except BadRequest:
                    log.info("too late to answer a press")  # Telegram waits for some seconds only

        self.background.add("answer a press", answer())

    def _set_buttons(self, address: Address, buttons: list[Button]) -> None:
        self.background.add(
            "set buttons",
            self.sender.set_buttons(Target.of(address), int(address.reply_to_id), buttons),
        )


def rating_of(emoji: list[str]) -> str:
    """`up`, `down`, or `""` for reactions that are neither, or none."""
    plain = {one.rstrip("\ufe0f") for one in emoji}
    if plain & DOWN:
        return "down"
    return "up" if plain & UP else ""
