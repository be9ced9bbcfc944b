"""The menu of commands that Telegram's apps show, by scope.

https://core.telegram.org/bots/api#botcommandscope: what is most specific wins, so each scope holds all
of its commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import structlog
from telegram import (
    BotCommand,
    BotCommandScope,
    BotCommandScopeAllChatAdministrators,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    BotCommandScopeDefault,
)
from telegram.error import BadRequest, InvalidToken

from adapters.telegram.api.client import Client
from adapters.telegram.api.errors import is_unknown_method, redact_token, telegram_errors
from adapters.telegram.menu_translations import TRANSLATIONS
from bot.ports import CommandSpec

log = structlog.get_logger("keepthread.telegram")

START = CommandSpec("start", "What I am, and how to talk with me.")
FORGET = CommandSpec("forget", "As an answer to a message: forget it.")

DESCRIPTION_CHARS = 256
MAX_COMMANDS = 100


def for_scope(
    specs: Sequence[CommandSpec], *, is_shared: bool, is_admin: bool
) -> tuple[CommandSpec, ...]:
    """The commands that somebody may use there, the most useful ones first."""
    allowed = [one for one in specs if is_admin or not (is_shared and one.admin_in_shared)]
    return (*allowed, FORGET, START)[:MAX_COMMANDS]


def menus(
    specs: Sequence[CommandSpec], admins: Iterable[str]
) -> list[tuple[BotCommandScope, tuple[CommandSpec, ...]]]:
    """What to show in which scope. `admins`: the patterns of `BOT_ADMINS`."""
    everyone = for_scope(specs, is_shared=False, is_admin=False)
    members = for_scope(specs, is_shared=True, is_admin=False)
    administrators = for_scope(specs, is_shared=True, is_admin=True)
    found: list[tuple[BotCommandScope, tuple[CommandSpec, ...]]] = [
        (BotCommandScopeDefault(), (START,)),
        (BotCommandScopeAllPrivateChats(), everyone),
        (BotCommandScopeAllGroupChats(), members),
        (BotCommandScopeAllChatAdministrators(), administrators),
    ]
    for pattern in admins:
        platform, _, person = pattern.partition(":")
        if platform == "telegram" and person.isdecimal():
            found.append((BotCommandScopeChat(int(person)), administrators))
    return found


def described(
    specs: Sequence[CommandSpec], words: Mapping[str, str] | None = None
) -> list[BotCommand]:
    """As Telegram takes them; `words` are descriptions in another language."""
    return [
        BotCommand(one.name, (words or {}).get(one.name, one.summary)[:DESCRIPTION_CHARS])
        for one in specs
    ]


async def set_menus(client: Client, specs: Sequence[CommandSpec], admins: Iterable[str]) -> None:
    """Show the commands in Telegram's menus. Raises PlatformError."""
    for scope, shown in menus(specs, admins):
        with telegram_errors():
            try:
                await client.set_my_commands(described(shown), scope=scope)
            except BadRequest as error:  # an admin who never wrote to the bot has no chat with it
                log.info("no menu there", scope=scope.type, why=redact_token(str(error)))
                continue
            except InvalidToken as error:
                if not is_unknown_method(error):
                    raise
                log.info("this Bot API server knows no menus")
                return
            if scope.type == BotCommandScope.CHAT:
                continue
            for language, words in TRANSLATIONS.items():
                await client.set_my_commands(
                    described(shown, words), scope=scope, language_code=language
                )
