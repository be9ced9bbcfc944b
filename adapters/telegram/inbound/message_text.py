"""Words of a message: of plain ones with entities, and of rich ones with blocks, in one form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from telegram import Message, MessageEntity

from adapters.telegram.inbound.attachments import (
    Contents,
    describe_contents,
    files_of,
    unsupported,
)
from adapters.telegram.inbound.markdown import MAX_ENTITIES, to_markdown
from adapters.telegram.inbound.rich_message import read_rich_message
from bot.conversation import Attachment
from bot.text import utf16_slice

_COMMAND = re.compile(r"/(\w{1,64})(?:@(\w+))?(?=\s|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Command:
    """Command at the beginning of a message.

    Attributes:
        name: without its slash, in lower case.
        bot: the bot that it names, in lower case, or `""`.
        arguments: the rest of the message.
    """

    name: str
    bot: str
    arguments: str


@dataclass(frozen=True, slots=True)
class MessageText:
    """Contents of a message as text, and its files.

    Attributes:
        markdown: its words.
        usernames: the names that it mentions, in lower case and without `@`.
        user_ids: the people that it mentions by id.
        command: the command that it begins with, also if it runs none.
        description: contents without words, described.
        attachments: its files.
        unsupported: kind of its contents that cannot be read, or `""`.
    """

    markdown: str
    usernames: frozenset[str] = frozenset()
    user_ids: frozenset[int] = frozenset()
    command: Command | None = None
    description: str = ""
    attachments: tuple[Attachment, ...] = ()
    unsupported: str = ""

    @property
    def described(self) -> str:
        """Description and words."""
        return "\n".join(filter(None, (self.description, self.markdown)))


def read_contents(message: Contents) -> MessageText:
    """The contents of `message`, or of one in another chat."""
    raw = message.api_kwargs.get("rich_message")
    if isinstance(raw, Mapping):
        rich = read_rich_message(raw)
        return MessageText(
            rich.markdown,
            rich.usernames,
            rich.user_ids,
            find_command(rich.markdown),
            describe_contents(message),
            (*files_of(message), *rich.attachments),
            rich.unsupported,
        )
    text, entities = _plain(message)
    mentions = [item for item in entities if item.type == MessageEntity.MENTION]
    names = (utf16_slice(text, item.offset, item.offset + item.length) for item in mentions)
    is_command = any(item.type == "bot_command" and item.offset == 0 for item in entities)
    return MessageText(
        to_markdown(text, entities),
        frozenset(name.removeprefix("@").lower() for name in names),
        frozenset(item.user.id for item in entities if item.type == "text_mention" and item.user),
        find_command(text) if is_command else None,
        describe_contents(message),
        files_of(message),
        unsupported(message),
    )


def _plain(message: Contents) -> tuple[str, Sequence[MessageEntity]]:
    """Text or caption, with its entities."""
    if not isinstance(message, Message):
        return "", ()
    if message.text is not None:
        return message.text, message.entities[:MAX_ENTITIES]
    return message.caption or "", message.caption_entities[:MAX_ENTITIES]


def find_command(text: str) -> Command | None:
    """The command that `text` begins with. `/usr/bin` is none, though Telegram marks it as one."""
    found = _COMMAND.match(text)
    if found is None:
        return None
    return Command(found[1].lower(), (found[2] or "").lower(), text[found.end() :].strip())
