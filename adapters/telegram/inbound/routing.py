"""Routing: the conversation that a message belongs to, its author, and whom it is for.

Format: https://core.telegram.org/bots/api#message
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from telegram import Chat, Message, User

from adapters.telegram.inbound.message_text import MessageText
from adapters.telegram.outbound.target import TelegramDetails
from adapters.telegram.topics import Topic
from bot.conversation import Address, SessionKey, Speaker

Addressee = Literal["this_bot", "other_bot", "nobody"]
"""Whom a message is for; `nobody`: for neither bot."""

_UNKNOWN_PLACE = re.compile(
    r"^(receiver|ephemeral|secret)_|_(topic|thread_id|connection_id|query_id)$"
)
"""Fields newer than the SDK that part a chat into places, such as `ephemeral_message_id` (Bot API 10.2)."""


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """The bot's own user, as `getMe` describes it.

    Attributes:
        reads_all: privacy mode is off, so it sees messages that are not for it.
    """

    id: int
    username: str
    reads_all: bool = False


def foreign_place(message: Message) -> str:
    """The field that puts `message` into a place where the bot has no conversation; `""` if there is none.

    Such a message shares its chat id with other people's talks, and an answer to the chat would show it to them.
    """
    if message.business_connection_id is not None:  # somebody's private chat with a business
        return "business_connection_id"
    if message.guest_query_id is not None:  # a chat that the bot is no member of
        return "guest_query_id"
    if message.chat.is_direct_messages and message.direct_messages_topic is None:
        return "direct_messages_topic"
    return next((name for name in message.api_kwargs if _UNKNOWN_PLACE.search(name)), "")


def session_of(chat_id: int, topic: Topic | None, bot_id: int) -> SessionKey:
    return SessionKey("telegram", str(bot_id), str(chat_id), str(topic) if topic else "")


def topic_of(message: Message) -> Topic | None:
    """The topic of a message. Without `is_topic_message` the thread's number only names a reply chain."""
    if message.direct_messages_topic is not None:
        return Topic("direct", message.direct_messages_topic.topic_id)
    if message.is_topic_message and message.message_thread_id is not None:
        return Topic("thread", message.message_thread_id)
    return None


def address_of(message: Message, bot_id: int, speaker: Speaker) -> Address:
    """The address of `message`, to which its answer goes."""
    is_private, topic = is_private_talk(message), topic_of(message)
    is_in_chain = not is_private and topic is None and message.message_thread_id is not None
    return Address(
        session=session_of(message.chat.id, topic, bot_id),
        place_kind="private" if is_private else "group",
        recipient_id=speaker.id,
        reply_to_id=str(message.message_id),
        details=TelegramDetails(str(message.message_thread_id) if is_in_chain else "").write(),
    )


def is_private_talk(message: Message) -> bool:
    """Whether a person says `message` to the bot alone.

    In a channel's direct messages the person is the one whose topic it is; others there write for the channel.
    """
    topic = message.direct_messages_topic
    if topic is None:
        return message.chat.type == Chat.PRIVATE
    author = message.sender_chat or message.from_user
    return topic.user is None or (author is not None and author.id == topic.user.id)


def speaker_of(message: Message) -> Speaker | None:
    """The person who wrote `message`, or the chat that a person writes as. None: a bot, or Telegram itself."""
    if message.sender_chat is not None:  # an anonymous administrator, or a person's channel
        chat = message.sender_chat
        return Speaker(str(chat.id), message.author_signature or chat.title or "")
    if message.from_user is None or message.from_user.is_bot:
        return None
    return speaker_for(message.from_user)


def speaker_for(user: User) -> Speaker:
    return Speaker(str(user.id), user.full_name)


def addressee_of(message: Message, contents: MessageText, me: BotIdentity) -> Addressee:
    """Whom `message` is for, unless it is a command."""
    if is_private_talk(message):
        return "this_bot"
    if message.is_automatic_forward:  # a post of the channel whose comments are here
        return "nobody"
    if me.username.lower() in contents.usernames or me.id in contents.user_ids:
        return "this_bot"
    if any(name.endswith("bot") for name in contents.usernames):  # as the names of bots must
        return "nobody"  # also as a reply to this bot: "@other_bot, is that right?"
    replied = replied_to(message)
    return "this_bot" if replied is not None and is_from(replied, me) else "nobody"


def replied_to(message: Message) -> Message | None:
    """The message that a person replies to. In topics every message "replies" to the one that opened it."""
    replied = message.reply_to_message
    if replied is None or replied.forum_topic_created is not None:
        return None
    return replied


def is_from(message: Message, me: BotIdentity) -> bool:
    return message.from_user is not None and message.from_user.id == me.id
