"""Routing: the conversation of a message, whether it is for the bot, and the intent of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from adapters.slack.action_ids import PLATFORM
from adapters.slack.inbound.events import MessagePosted
from adapters.slack.inbound.mrkdwn import mentioned, without_mention
from adapters.slack.outbound.address_details import SlackDetails
from bot.conversation import Address, SessionKey, Speaker

if TYPE_CHECKING:
    from bot.ports import CommandSpec, Core

_MENTION = r"<(?:@[UW][A-Z0-9]+|!subteam\^[A-Z0-9]+|!here|!channel|!everyone)(?:\|[^<>]*)?>"
_STARTS_WITH_MENTION = re.compile(
    rf"^\s*(?:(?:hey|hi|hello|ok|okay|yes|no|thanks|thank you|thx|cc|and|but|so|@)[\s,!.]*)*{_MENTION}",
    re.IGNORECASE,
)
_ENDS_WITH_MENTION = re.compile(
    rf"(?:,|\b(?:thanks|thank you|thx|cc|hi|hey))\s*{_MENTION}\W*$", re.I
)
_COMMAND_PREFIX = "!"


@dataclass(frozen=True, slots=True)
class Intent:
    """Intent of a message, as far as the bot is concerned.

    Attributes:
        kind: `message` to be answered, `command`, `overheard`: only to be remembered.
        text: without the mention of the bot; a command's text is `name arguments`.
        is_addressed: the bot was mentioned, or this is a direct message.
        is_first_in_thread: the first message to the bot inside a thread it takes no part in yet.
    """

    kind: Literal["message", "command", "overheard"]
    text: str
    is_addressed: bool = False
    is_first_in_thread: bool = False


def session_of(message: MessagePosted) -> SessionKey:
    """The conversation of a message: its thread; direct messages outside threads are one conversation."""
    if message.kind == "private":
        thread = message.thread_ts if message.thread_ts != message.ts else ""
    else:
        thread = message.thread_ts or message.ts
    return SessionKey(PLATFORM, message.team, message.channel, thread)


def address_of(
    message: MessagePosted, *, speaker_team: str = "", needs_history: bool = False
) -> Address:
    """Where to answer a message: in its thread, or in a new one below it."""
    session = session_of(message)
    shared = message.kind != "private"
    return Address(
        session,
        message.kind,
        recipient_id=message.user if shared else "",
        recipient_account=(speaker_team or message.user_team or message.team) if shared else "",
        reply_to_id=message.ts,
        details=SlackDetails(session.thread, needs_history=needs_history).as_mapping(),
    )


def ephemeral_address(address: Address, speaker: Speaker, response_url: str = "") -> Address:
    """`address` for messages that only `speaker` sees."""
    details = SlackDetails.of(address)
    details = replace(
        details,
        ephemeral_user=speaker.id,
        response_url=response_url or details.response_url,
    )
    return replace(address, details=details.as_mapping())


async def classify(
    message: MessagePosted, bot_user: str, core: Core, mentions_only: Iterable[str] = ()
) -> Intent | None:
    """The intent of a message; None if the bot ignores it. Raises StoreError."""
    if not message.ts or message.user in (bot_user, "USLACKBOT"):
        return None
    if message.by_bot:
        return await _intent_of_app(message, core)
    if not message.user:
        return None
    is_mention = message.mentions_bot or (bool(bot_user) and bot_user in mentioned(message.text))
    text = without_mention(message.text, bot_user) if is_mention else message.text.strip()
    if not (text or message.files or message.quoted or is_mention or message.is_unreadable):
        return None
    in_thread = bool(message.thread_ts) and message.thread_ts != message.ts
    is_addressed = is_mention or message.kind == "private"
    if not is_addressed and not in_thread:
        return None
    takes_part = in_thread and await core.takes_part(session_of(message))
    if not is_addressed and not takes_part:
        return None
    command = find_command(text, core.commands(), bare=is_mention)
    if command:
        return Intent("command", command, is_addressed)
    if is_mention and not text and not message.files and not message.quoted and not in_thread:
        return Intent("command", "help", is_addressed)
    if is_addressed:
        text = text or _without_words(message)
        is_first = in_thread and not takes_part
        return Intent("message", text, is_addressed, is_first_in_thread=is_first)
    if message.channel in mentions_only or addresses_others(message.text):
        return Intent("overheard", text)
    return Intent("message", text)


async def _intent_of_app(message: MessagePosted, core: Core) -> Intent | None:
    """Messages of other apps are remembered where the bot takes part, and never answered."""
    has_content = bool(message.text.strip() or message.files or message.quoted)
    in_thread = bool(message.thread_ts) and message.thread_ts != message.ts
    if not (has_content and in_thread and await core.takes_part(session_of(message))):
        return None
    return Intent("overheard", message.text.strip())


def _without_words(message: MessagePosted) -> str:
    """The text of a message to the bot that has none; what it brings speaks for itself."""
    if message.files or message.quoted:
        return ""
    if message.is_unreadable:
        return "(a message of a kind that cannot be read: no words and no file)"
    return "(mentions you, and says nothing)"


def addresses_others(text: str) -> bool:
    """Whether raw `text` begins or ends with a mention of other people, as messages to them do."""
    return bool(_STARTS_WITH_MENTION.match(text) or _ENDS_WITH_MENTION.search(text))


def find_command(text: str, specs: Iterable[CommandSpec], *, bare: bool) -> str:
    """The command in `text`, as `name arguments`, or "".

    Args:
        bare: a name alone is a command (after a mention); otherwise it needs `!` before it.
    """
    has_prefix = text.startswith(_COMMAND_PREFIX)
    words = text.removeprefix(_COMMAND_PREFIX).split()
    if not words or not (has_prefix or bare):
        return ""
    name, arguments = words[0].lower().rstrip(".!"), words[1:]
    for spec in specs:
        if name not in spec.names:
            continue
        # After a mention only the exact command counts: "@bot help me with this" is a question.
        if has_prefix or not arguments or " ".join(arguments).lower() in _choices(spec):
            return " ".join((name, *arguments))
    return ""


def _choices(spec: CommandSpec) -> tuple[str, ...]:
    """Arguments in its usage line: `[json|text]` gives both."""
    return tuple(re.findall(r"[a-z0-9-]+", spec.usage.lower()))
