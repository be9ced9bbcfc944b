"""Connection: administrators, files and health."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.conversation import Address, Attachment, SessionKey, Speaker
from bot.errors import (
    PlaceGone,
    PlatformError,
)
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


async def test_a_file_is_downloaded_or_its_error_told(world: World) -> None:
    def attachment(reference: str, size_bytes: int | None = None) -> Attachment:
        return Attachment("document", "f", reference=reference, size_bytes=size_bytes)

    good = world.telegram.upload("f.txt", b"content")
    assert await world.connection.download(address(ANNA), attachment(good)) == b"content"
    with pytest.raises(PlatformError, match="larger than"):
        await world.connection.download(address(ANNA), attachment(good, 21 * 1024 * 1024))
    world.telegram.file_limit = 3
    with pytest.raises(PlatformError, match="too big"):
        await world.connection.download(address(ANNA), attachment(good))
    with pytest.raises(PlatformError):
        await world.connection.download(address(ANNA), attachment("gone"))


async def test_a_file_of_a_bot_api_server_on_this_machine_is_read_from_its_disk(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "voice.ogg"
    path.write_bytes(b"from the disk")
    world.telegram.local_files["v"] = str(path)
    got = await world.connection.download(address(ANNA), Attachment("audio", "v", reference="v"))
    assert got == b"from the disk"
    assert not any(name == "file" for name, _ in world.telegram.calls)


async def test_health_follows_the_connection(world: World) -> None:
    await wait_until(lambda: world.connection.health().ready)
    await world.telegram.stop()
    await wait_until(lambda: "cannot be reached" in world.connection.health().detail)
    await world.telegram.start()
    world.telegram.say(ANNA, ANNA, "hello")
    await wait_until(lambda: world.connection.health().ready)
