"""Which conversation a message belongs to, whether it is for the bot, and what it asks of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from adapters.slack.action_ids import PLATFORM
from adapters.slack.inbound.events import MessagePosted
from adapters.slack.inbound.mrkdwn import mentioned, without_mention
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
    """What a message is to the bot.

    Attributes:
        kind: `message` to be answered, `command`, `overheard`: only to be remembered.
        text: without the mention that called; a command's text is `name arguments`.
        called: the bot was mentioned, or this is a direct message.
        new: first words to the bot inside a thread it does not know.
    """

    kind: Literal["message", "command", "overheard"]
    text: str
    called: bool = False
    new: bool = False


def session_of(message: MessagePosted) -> SessionKey:
    """Threads are conversations; a direct message outside one belongs to one long talk."""
    if message.kind == "private":
        thread = message.thread_ts if message.thread_ts != message.ts else ""
    else:
        thread = message.thread_ts or message.ts
    return SessionKey(PLATFORM, message.team, message.channel, thread)


def address_of(message: MessagePosted, *, speaker_team: str = "", seed: bool = False) -> Address:
    """Where to answer `said`: in its thread, or below it."""
    session = session_of(message)
    details = {"thread_ts": session.thread}
    if seed:
        details["seed"] = "1"
    shared = message.kind != "private"
    return Address(
        session,
        message.kind,
        recipient_id=message.user if shared else "",
        recipient_account=(speaker_team or message.user_team or message.team) if shared else "",
        reply_to_id=message.ts,
        details=details,
    )


def ephemeral_address(address: Address, speaker: Speaker, response_url: str = "") -> Address:
    """`address`, to be read by `speaker` alone."""
    details = {**address.details, "ephemeral_user": speaker.id}
    if response_url:
        details["response_url"] = response_url
    return replace(address, details=details)


async def classify(
    message: MessagePosted, bot_user: str, core: Core, mentions_only: Iterable[str] = ()
) -> Intent | None:
    """What `said` is to the bot; None if nothing. Raises StoreError."""
    if (
        message.by_bot
        or not message.user
        or message.user in (bot_user, "USLACKBOT")
        or not message.ts
    ):
        return None
    mention = message.mentions_bot or (bool(bot_user) and bot_user in mentioned(message.text))
    text = without_mention(message.text, bot_user) if mention else message.text.strip()
    if not (text or message.files or message.quoted or mention):
        return None
    in_thread = bool(message.thread_ts) and message.thread_ts != message.ts
    called = mention or message.kind == "private"
    if not called and not in_thread:
        return None
    takes_part = in_thread and await core.takes_part(session_of(message))
    if not called and not takes_part:
        return None
    command = find_command(text, core.commands(), bare=mention)
    if command:
        return Intent("command", command, called)
    if mention and not text and not message.files and not message.quoted and not in_thread:
        return Intent("command", "help", called)
    if called:
        words = text or ("" if message.files else "(mentions you, and says nothing)")
        return Intent("message", words, called, new=in_thread and not takes_part)
    if message.channel in mentions_only or addresses_others(message.text):
        return Intent("overheard", text)
    return Intent("message", text)


def addresses_others(text: str) -> bool:
    """Whether raw `text` begins by calling somebody who is not the bot, or ends so."""
    return bool(_STARTS_WITH_MENTION.match(text) or _ENDS_WITH_MENTION.search(text))


def find_command(text: str, specs: Iterable[CommandSpec], *, bare: bool) -> str:
    """The command `text` is, as `name arguments`, or `""`.

    Args:
        bare: a name alone is a command (after a mention); otherwise it needs `!` before it.
    """
    marked = text.startswith(_COMMAND_PREFIX)
    words = text.removeprefix(_COMMAND_PREFIX).split()
    if not words or not (marked or bare):
        return ""
    name, arguments = words[0].lower().rstrip(".!"), words[1:]
    for spec in specs:
        if name not in spec.names:
            continue
        # After a mention only the exact command counts: "@bot help me with this" is a question.
        if marked or not arguments or " ".join(arguments).lower() in _choices(spec):
            return " ".join((name, *arguments))
    return ""


def _choices(spec: CommandSpec) -> tuple[str, ...]:
    """The words its usage line offers: `[json|text]` gives both."""
    return tuple(re.findall(r"[a-z0-9-]+", spec.usage.lower()))
