"""The supervisor restarts a killed server, ends with the last user, and is itself replaced when it is killed."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

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


async def test_a_user_goes_on_when_the_one_that_started_the_server_is_killed(
    data_dir: Path,
) -> None:
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
