"""Which conversation a message belongs to, whether it is for the bot, and what it asks of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from adapters.slack.action_ids import PLATFORM
from adapters.slack.inbound.events import Said
from adapters.slack.inbound.mrkdwn import mentioned, without_mention
from bot.conversation import Address, SessionKey, Speaker

if TYPE_CHECKING:
    from bot.ports import CommandSpec, Core

_SOMEBODY = r"<(?:@[UW][A-Z0-9]+|!subteam\^[A-Z0-9]+|!here|!channel|!everyone)(?:\|[^<>]*)?>"
_CALLS_SOMEBODY = re.compile(
    rf"^\s*(?:(?:hey|hi|hello|ok|okay|yes|no|thanks|thank you|thx|cc|and|but|so|@)[\s,!.]*)*{_SOMEBODY}",
    re.IGNORECASE,
)
_ENDS_WITH_SOMEBODY = re.compile(
    rf"(?:,|\b(?:thanks|thank you|thx|cc|hi|hey))\s*{_SOMEBODY}\W*$", re.I
)
_COMMAND_MARK = "!"


@dataclass(frozen=True, slots=True)
class Meant:
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


def session_of(said: Said) -> SessionKey:
    """Threads are conversations; a direct message outside one belongs to one long talk."""
    if said.kind == "private":
        thread = said.thread_ts if said.thread_ts != said.ts else ""
    else:
        thread = said.thread_ts or said.ts
    return SessionKey(PLATFORM, said.team, said.channel, thread)


def address_of(said: Said, *, speaker_team: str = "", seed: bool = False) -> Address:
    """Where to answer `said`: in its thread, or below it."""
    session = session_of(said)
    details = {"thread_ts": session.thread}
    if seed:
        details["seed"] = "1"
    shared = said.kind != "private"
    return Address(
        session,
        said.kind,
        recipient_id=said.user if shared else "",
        recipient_account=(speaker_team or said.user_team or said.team) if shared else "",
        reply_to_id=said.ts,
        details=details,
    )


def privately(address: Address, speaker: Speaker, response_url: str = "") -> Address:
    """`address`, to be read by `speaker` alone."""
    details = {**address.details, "ephemeral_user": speaker.id}
    if response_url:
        details["response_url"] = response_url
    return replace(address, details=details)


async def meaning(
    said: Said, bot_user: str, core: Core, mentions_only: Iterable[str] = ()
) -> Meant | None:
    """What `said` is to the bot; None if nothing. Raises StoreError."""
    if said.by_bot or not said.user or said.user in (bot_user, "USLACKBOT") or not said.ts:
        return None
    mention = said.mentions_bot or (bool(bot_user) and bot_user in mentioned(said.text))
    text = without_mention(said.text, bot_user) if mention else said.text.strip()
    if not (text or said.files or said.quoted or mention):
        return None
    in_thread = bool(said.thread_ts) and said.thread_ts != said.ts
    called = mention or said.kind == "private"
    if not called and not in_thread:
        return None
    takes_part = in_thread and await core.takes_part(session_of(said))
    if not called and not takes_part:
        return None
    command = command_in(text, core.commands(), bare=mention)
    if command:
        return Meant("command", command, called)
    if mention and not text and not said.files and not said.quoted and not in_thread:
        return Meant("command", "help", called)
    if called:
        words = text or ("" if said.files else "(mentions you, and says nothing)")
        return Meant("message", words, called, new=in_thread and not takes_part)
    if said.channel in mentions_only or for_somebody_else(said.text):
        return Meant("overheard", text)
    return Meant("message", text)


def for_somebody_else(text: str) -> bool:
    """Whether raw `text` begins by calling somebody who is not the bot, or ends so."""
    return bool(_CALLS_SOMEBODY.match(text) or _ENDS_WITH_SOMEBODY.search(text))


def command_in(text: str, specs: Iterable[CommandSpec], *, bare: bool) -> str:
    """The command `text` is, as `name arguments`, or `""`.

    Args:
        bare: a name alone is a command (after a mention); otherwise it needs `!` before it.
    """
    marked = text.startswith(_COMMAND_MARK)
    words = text.removeprefix(_COMMAND_MARK).split()
    if not words or not (marked or bare):
        return ""
    name, arguments = words[0].lower().rstrip(".!"), words[1:]
    for spec in specs:
        if name not in (spec.name, *spec.aliases):
            continue
        # After a mention only the exact command counts: "@bot help me with this" is a question.
        if marked or not arguments or " ".join(arguments).lower() in _choices(spec):
            return " ".join((name, *arguments))
    return ""


def _choices(spec: CommandSpec) -> tuple[str, ...]:
    """The words its usage line offers: `[json|text]` gives both."""
    return tuple(re.findall(r"[a-z0-9-]+", spec.usage.lower()))
