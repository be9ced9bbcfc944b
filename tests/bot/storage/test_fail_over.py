"""Fail-over behind a name: the old primary lives on as a replica, with the connections that it had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from bot.errors import StoreReadOnly
from bot.settings import Settings
from bot.storage.client import INGRESS_RETRY_S, WORKER_RETRY_S, RedisLink, connect
from bot.storage.dedicated_connection import DedicatedConnection
from bot.storage.errors import store_errors
from bot.storage.fail_over import FailOvers, refusal_code
from tests.fakes.model_server import ModelServer, stall
from tests.fakes.moving_name import MovingName, moving_name
from tests.fakes.redis_server import RedisServer, running_redis
from tests.support.messages import make_message
from tests.support.service_harness import running_service
from tests.support.wait import wait_until


@dataclass
class Pair:
    """A primary and its replica behind a name."""

    old: RedisServer
    new: RedisServer
    name: MovingName

    def settings(self, settings: Settings) -> Settings:
        url = SecretStr(f"redis://127.0.0.1:{self.name.port}")
        return settings.model_copy(update={"redis_url": url})

    async def fail_over(self) -> None:
        """Exchange the roles; connections stay, and the name still leads to the old primary."""
        async with self.old.admin() as old, self.new.admin() as new:
            await wait_until(lambda: _is_in_sync(new))
            await new.execute_command("REPLICAOF", "NO", "ONE")
            await old.execute_command("REPLICAOF", "127.0.0.1", self.new.port)

    def move(self) -> None:
        self.name.target = self.new.port


async def _is_in_sync(replica: Redis) -> bool:
    info = await replica.info("replication")
    return bool(info["master_link_status"] == "up")


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(running_redis())
        sync_at_once = ("--repl-diskless-sync-delay", "0")
        replica_of = ("--replicaof", "127.0.0.1", str(old.port), *sync_at_once)
        new = await stack.enter_async_context(running_redis(*replica_of))
        async with old.admin() as admin:
            await admin.config_set("repl-diskless-sync-delay", 0)
        yield Pair(old, new, await stack.enter_async_context(moving_name(old.port)))


async def test_a_write_that_a_former_primary_refuses_reaches_the_new_one(
    pair: Pair, settings: Settings
) -> None:
    """R2: the refusal closes the connection, and the name is resolved anew."""
    limited = pair.settings(settings)
    async with aclosing(await connect(limited, retry_for_s=WORKER_RETRY_S)) as link:
        await link.client.set("k", "old", ex=60)
        await pair.fail_over()
        pair.move()
        await link.client.set("k", "new", ex=60)
        async with pair.new.admin() as new:
            assert await new.get("k") == b"new"


async def test_a_name_that_has_not_moved_yet_is_told_as_a_replica(
    pair: Pair, settings: Settings
) -> None:
    """R2: until then the error says so, and the same link follows later."""
    async with aclosing(await connect(pair.settings(settings))) as link:
        await link.client.set("k", "old", ex=60)
        await pair.fail_over()
        with pytest.raises(StoreReadOnly) as caught, store_errors():
            await link.client.set("k", "lost", ex=60)
        assert caught.value.can_retry
        assert "primary" in caught.value.cure
        pair.move()
        await link.client.set("k", "new", ex=60)
        assert await link.client.get("k") == b"new"


async def test_no_older_connection_reads_from_the_former_primary(
    pair: Pair, settings: Settings
) -> None:
    """R2: reads are refused by no replica, so one refused write makes all older connections stale."""
    fail_overs = FailOvers()
    limited = pair.settings(settings)
    async with AsyncExitStack() as stack:
        links = [
            await stack.enter_async_context(
                aclosing(await connect(limited, retry_for_s=patience_s, fail_overs=fail_overs))
            )
            for patience_s in (INGRESS_RETRY_S, WORKER_RETRY_S)
        ]
        for link in links:
            await fill_pool(link, 5)
        await pair.fail_over()
        async with pair.old.admin() as old:
            await old.execute_command("REPLICAOF", "127.0.0.1", "1")  # it follows nobody now
        pair.move()
        await links[0].client.set("k", "new", ex=60)
        for link in links:
            assert await fill_pool(link, 5) == [b"new"] * 5


async def fill_pool(link: RedisLink, size: int) -> list[bytes]:
    """What each of so many connections of the pool reads."""
    pool = link.client.connection_pool
    connections = [await pool.get_connection() for _ in range(size)]
    read = []
    for connection in connections:
        await connection.send_command("GET", "k")
        read.append(await connection.read_response())
        await pool.release(connection)
    return read


async def test_a_dedicated_connection_is_opened_anew_after_a_fail_over(
    pair: Pair, settings: Settings
) -> None:
    async with (
        aclosing(await connect(pair.settings(settings), retry_for_s=WORKER_RETRY_S)) as link,
        aclosing(DedicatedConnection(link.client)) as dedicated,
    ):
        await dedicated.ensure_open()
        assert await dedicated.send("SET", "k", "old", "EX", 60)
        await pair.fail_over()
        pair.move()
        with pytest.raises(RedisError):
            await dedicated.send("SET", "k", "lost", "EX", 60)
        await dedicated.ensure_open()
        assert await dedicated.send("SET", "k", "new", "EX", 60)
        await link.client.set("k", "newer", ex=60)
        async with pair.new.admin() as new:
            assert await new.get("k") == b"newer"


async def test_a_service_answers_through_the_name_when_it_has_moved(
    pair: Pair, settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """R2: messages before, during and after a fail-over are answered, and a stop is received."""
    async with running_service(
        pair.settings(settings),
        tmp_path,
        model,
        ingress_retry_s=INGRESS_RETRY_S,
        bot_lease_s=600,
    ) as bot:
        await bot.enqueue(make_message("before"))
        await wait_until(lambda: bot.answers() == ["You said: before"])
        await wait_until(lambda: bot.is_idle())
        await pair.fail_over()
        with pytest.raises(StoreReadOnly):
            await bot.service.inbox.check_writable()
        pair.move()
        await bot.enqueue(make_message("after"))
        await wait_until(lambda: bot.answers()[1:] == ["You said: after"])
        assert await bot.service.probes.health() == {}
        model.script = [stall("a long")]
        await bot.enqueue(make_message("long"))
        await wait_until(lambda: bot.journal.read("show")[-1]["delta"] == "a long")
        await bot.enqueue(make_message("stop"))
        await wait_until(lambda: bot.answers()[2:] == ["a long"])


async def test_liveness_fails_while_the_name_leads_to_a_replica_for_too_long(
    pair: Pair, settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """R2: a process that does not follow is restarted."""
    async with running_service(
        pair.settings(settings), tmp_path, model, ingress_retry_s=INGRESS_RETRY_S
    ) as bot:
        probes = bot.service.probes
        assert await probes.health() == {}
        await pair.fail_over()
        await probes.readiness()
        assert await probes.health() == {}, "the name has some time to move"
        probes.max_read_only_s = 0
        assert "a replica for" in (await probes.health())["redis"]
        pair.move()
        assert await probes.readiness() == {}
        await wait_until(
            lambda: bot.service.worker and not bot.service.worker.leases.read_only_since
        )
        assert await probes.health() == {}


async def test_liveness_does_not_fail_while_redis_is_away(
    pair: Pair, settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(
        pair.settings(settings), tmp_path, model, role="ingress", ingress_retry_s=INGRESS_RETRY_S
    ) as bot:
        bot.service.probes.max_read_only_s = 0
        pair.name.target = 1
        pair.old.kill()
        assert await bot.service.probes.health() == {}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ReadOnlyError("You can't write against a read only replica."), "READONLY"),
        (MasterDownError("Link with MASTER is down"), "MASTERDOWN"),
        (ClusterDownError("The cluster is down"), "CLUSTERDOWN"),
        (BusyLoadingError("Redis is loading the dataset in memory"), "LOADING"),
        (ResponseError("UNBLOCKED force unblock from blocking operation"), "UNBLOCKED"),
        (ResponseError("Error running script: @user_script: 8: -READONLY You can't"), "READONLY"),
        (ResponseError("user_script:101: READONLY You can't write"), "READONLY"),
        (ResponseError("WRONGTYPE Operation against a key"), ""),
        (ResponseError("value READONLYX is odd"), ""),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_refusal_is_known_by_its_code(error: RedisError, code: str) -> None:
    assert refusal_code(error) == code
