"""Connection: administrators and health."""

from __future__ import annotations

import pytest

from bot.conversation import Address, SessionKey, Speaker
from bot.errors import PlaceGone
from tests.adapters.telegram.harness import ANNA, BEN, EVE, GROUP, World
from tests.fakes.telegram.server import BOT_ID
from tests.support.wait import wait_until


def address(chat: int) -> Address:
    key = SessionKey("telegram", str(BOT_ID), str(chat))
    return Address(key, "private" if chat > 0 else "group")


@pytest.mark.parametrize(
    ("chat", "speaker", "is_admin"),
    [
        (GROUP, ANNA, True),
        (GROUP, BEN, False),
        (GROUP, EVE, False),
        (GROUP, GROUP, True),
        (GROUP, -1009, False),
        (ANNA, ANNA, False),
    ],
)
async def test_administrators_are_those_of_the_group_itself(
    world: World, chat: int, speaker: int, is_admin: bool
) -> None:
    assert await world.connection.is_admin(address(chat), Speaker(str(speaker))) is is_admin


async def test_administrators_of_a_group_that_is_gone_cannot_be_asked_for(
    world: World,
) -> None:
    world.telegram.chat(GROUP).gone = "bot was kicked from the supergroup chat"
    with pytest.raises(PlaceGone):
        await world.connection.is_admin(address(GROUP), Speaker(str(BEN)))


async def test_health_follows_the_connection(world: World) -> None:
    await wait_until(lambda: world.connection.health().ready)
    await world.telegram.stop()
    await wait_until(lambda: "cannot be reached" in world.connection.health().detail)
    await world.telegram.start()
    world.telegram.say(ANNA, ANNA, "hello")
    await wait_until(lambda: world.connection.health().ready)
