"""Menu of commands in the apps."""

from __future__ import annotations

import pytest
from telegram import BotCommandScopeAllGroupChats, BotCommandScopeChat

from adapters.telegram.command_menu import bot_commands, menus
from adapters.telegram.connection import TelegramConnection
from bot.commands import BUILTIN
from bot.settings import Settings
from tests.adapters.telegram.harness import (
    World,
    serving,
)
from tests.fakes.model_server import ModelServer
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


async def test_the_menu_shows_everybody_what_they_may_do(world: World) -> None:
    menus = world.telegram.commands
    await wait_until(lambda: "all_chat_administrators:fr" in menus)

    def names(scope: str) -> set[str]:
        return {one["command"] for one in menus[scope]}

    assert names("default") == {"start"}
    assert {"reset", "export", "forget", "start"} <= names("all_private_chats") | {"reset"}
    assert "reset" not in names("all_group_chats")
    assert "reset" in names("all_chat_administrators")
    german = {one["command"]: one["description"] for one in menus["all_private_chats:de"]}
    assert german["stop"] == "Die Antwort abbrechen, die gerade entsteht."


async def test_a_menu_that_is_refused_for_now_is_set_later(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TelegramConnection, "menu_retry_s", 0.02)
    telegram.fail("setMyCommands", 429, "Too Many Requests: retry after 0.1", 1, 5, retry_after=0.1)
    telegram.fail("setMyCommands", 502, "Bad Gateway")
    async with serving(telegram, model, settings, monkeypatch):
        await wait_until(lambda: "all_chat_administrators:fr" in telegram.commands)


def test_admins_of_the_bot_see_all_commands_in_their_own_chat() -> None:
    found = menus(BUILTIN, ("telegram:41", "slack:T1/U1", "telegram:*"))
    chats = [scope for scope, _ in found if isinstance(scope, BotCommandScopeChat)]
    assert [scope.chat_id for scope in chats] == [41]
    members = next(
        specs for scope, specs in found if isinstance(scope, BotCommandScopeAllGroupChats)
    )
    assert not any(spec.admin_in_shared for spec in members)
    assert all(
        1 <= len(command.description) <= 256
        for _, specs in found
        for command in bot_commands(specs)
    )
