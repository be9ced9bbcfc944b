"""The embedded server is shared by the processes of a folder, and keeps its data."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.errors import StoreError
from bot.storage.embedded.server import EmbeddedServer
from tests.bot.storage.embedded.harness import (
    User,
    answers,
    processes,
    servers,
    supervisors,
    visits,
)
from tests.support.wait import wait_until


async def test_the_last_user_stops_the_server_and_the_data_is_there_next_time(
    data_dir: Path,
) -> None:
    for expected in (1, 2):
        server = await EmbeddedServer.start(data_dir)
        async with Redis.from_url(server.url) as client:
            assert await client.incr("visits") == expected
        assert len(servers(data_dir)) == 1
        assert len(supervisors(data_dir)) == 1
        await server.aclose()
        await server.aclose()
        assert processes(data_dir) == []


async def test_a_second_process_joins_the_server_of_the_first(data_dir: Path) -> None:
    with User(data_dir) as other:
        url = other.wait_for_url()
        server = await EmbeddedServer.start(data_dir)
        assert server.url == url
        assert await visits(server.url) == 1
        assert len(servers(data_dir)) == 1

        other.leave()
        assert await visits(server.url) == 1, "the server stays until its last user leaves"
        await server.aclose()


async def test_two_users_in_one_process_are_two_users(data_dir: Path) -> None:
    first, second = await asyncio.gather(*(EmbeddedServer.start(data_dir) for _ in range(2)))
    await first.aclose()
    assert await visits(second.url) == 0
    await second.aclose()


async def test_processes_that_start_at_once_share_one_server(data_dir: Path) -> None:
    with ExitStack() as stack:
        users = [stack.enter_context(User(data_dir)) for _ in range(5)]
        urls = {user.wait_for_url() for user in users}
        assert len(urls) == 1
        assert len(servers(data_dir)) == 1
        assert await visits(urls.pop()) == 5
        for user in users:
            user.leave()
    assert processes(data_dir) == []


async def test_users_that_come_and_go_lose_nothing(data_dir: Path) -> None:
    async def come_and_go() -> None:
        for _ in range(12):
            server = await EmbeddedServer.start(data_dir)
            async with Redis.from_url(server.url) as client:
                await client.incr("visits")
            await server.aclose()

    await asyncio.gather(*(come_and_go() for _ in range(4)))
    assert processes(data_dir) == []
    server = await EmbeddedServer.start(data_dir)
    assert await visits(server.url) == 48
    await server.aclose()


async def test_two_folders_have_two_servers(tmp_path: Path, data_dir: Path) -> None:
    first = await EmbeddedServer.start(data_dir)
    second = await EmbeddedServer.start(tmp_path / "other")
    async with Redis.from_url(first.url) as client:
        await client.set("visits", 1)
    assert await visits(second.url) == 0
    await first.aclose()
    await second.aclose()


async def test_the_server_knows_no_secret_of_its_users(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server = await EmbeddedServer.start(data_dir)
    for process in processes(data_dir):
        assert "OPENAI_API_KEY" not in process.environ()
    await server.aclose()


async def test_a_half_written_command_at_the_end_of_the_file_is_dropped(data_dir: Path) -> None:
    with User(data_dir) as user:
        user.wait_for_url()
        user.leave()
    (incremental,) = (data_dir / "redis" / "appendonlydir").glob("*.incr.aof")
    with incremental.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$6\r\nvis")
    server = await EmbeddedServer.start(data_dir)
    assert await visits(server.url) == 1
    await server.aclose()


async def test_damaged_data_is_reported_and_not_overwritten(data_dir: Path) -> None:
    with User(data_dir) as user:
        user.wait_for_url()
        user.leave()
    (incremental,) = (data_dir / "redis" / "appendonlydir").glob("*.incr.aof")
    damaged = b"x" * 100 + incremental.read_bytes()
    incremental.write_bytes(damaged)
    with pytest.raises(StoreError, match="Bad file format") as caught:
        await EmbeddedServer.start(data_dir)
    assert "appendonlydir" in caught.value.cure
    assert incremental.read_bytes() == damaged
    await wait_until(lambda: processes(data_dir) == [])


async def test_a_cancelled_start_leaves_nothing(data_dir: Path) -> None:
    for delay_s in (0, 0.005, 0.02, 0.05):
        start = asyncio.create_task(EmbeddedServer.start(data_dir))
        await asyncio.sleep(delay_s)
        start.cancel()
        (result,) = await asyncio.gather(start, return_exceptions=True)
        if isinstance(result, EmbeddedServer):  # it was quicker
            await result.aclose()
        await wait_until(lambda: processes(data_dir) == [])
    server = await EmbeddedServer.start(data_dir)
    assert await answers(server.url)
    await server.aclose()
