"""Menu of commands in Telegram's apps, by scope.

https://core.telegram.org/bots/api#botcommandscope: the most specific scope wins, so each holds all of its
commands.
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
    """The commands that a person may use there, the most useful ones first."""
    allowed = [spec for spec in specs if is_admin or not (is_shared and spec.admin_in_shared)]
    return (*allowed, FORGET, START)[:MAX_COMMANDS]


def menus(
    specs: Sequence[CommandSpec], admins: Iterable[str]
) -> list[tuple[BotCommandScope, tuple[CommandSpec, ...]]]:
    """The commands of each scope. `admins`: the patterns of `BOT_ADMINS`."""
    everyone = for_scope(specs, is_shared=False, is_admin=False)
    members = for_scope(specs, is_shared=True, is_admin=False)
    administrators = for_scope(specs, is_shared=True, is_admin=True)
    scopes: list[tuple[BotCommandScope, tuple[CommandSpec, ...]]] = [
        (BotCommandScopeDefault(), (START,)),
        (BotCommandScopeAllPrivateChats(), everyone),
        (BotCommandScopeAllGroupChats(), members),
        (BotCommandScopeAllChatAdministrators(), administrators),
    ]
    for pattern in admins:
        platform, _, person = pattern.partition(":")
        if platform == "telegram" and person.isdecimal():
            scopes.append((BotCommandScopeChat(int(person)), administrators))
    return scopes


def bot_commands(
    specs: Sequence[CommandSpec], translations: Mapping[str, str] | None = None
) -> list[BotCommand]:
    """The SDK's values; `translations` are descriptions in another language, by name."""
    return [
        BotCommand(spec.name, (translations or {}).get(spec.name, spec.summary)[:DESCRIPTION_CHARS])
        for spec in specs
    ]


async def set_menus(client: Client, specs: Sequence[CommandSpec], admins: Iterable[str]) -> None:
    """Set the menu of every scope and language. Raises PlatformError."""
    for scope, shown in menus(specs, admins):
        with telegram_errors():
            try:
                await client.set_my_commands(bot_commands(shown), scope=scope)
            except BadRequest as error:  # an admin who never wrote to the bot has no chat with it
                log.info("menu not set for scope", scope=scope.type, error=redact_token(str(error)))
                continue
            except InvalidToken as error:
                if not is_unknown_method(error):
                    raise
                log.info("this Bot API server knows no menus")
                return
            if scope.type == BotCommandScope.CHAT:
                continue
            for language, translations in TRANSLATIONS.items():
                await client.set_my_commands(
                    bot_commands(shown, translations), scope=scope, language_code=language
                )
