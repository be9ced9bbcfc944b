"""A message is acknowledged only when it is as durable as the settings ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis, RedisCluster

from bot.conversation import Incoming
from bot.errors import StoreError, StoreUnavailable
from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.storage.durability import Durability
from tests.fakes.redis_server import RedisServer, running_cluster, running_redis
from tests.support.messages import make_message
from tests.support.wait import wait_until


def make_inbox(
    client: Redis, *, disk: bool = False, replicas: int = 0, wait_ms: int = 60_000
) -> Inbox:
    durability = Durability(client, is_cluster=False, disk=disk, replicas=replicas, wait_ms=wait_ms)
    return Inbox(client, InboxKeys("kt", 2), durability=durability)


@pytest.fixture
async def primary() -> AsyncIterator[RedisServer]:
    async with running_redis("--appendonly", "yes", "--repl-diskless-sync-delay", "0") as server:
        yield server


async def test_a_message_that_no_replica_has_is_refused_and_so_is_its_repetition(
    primary: RedisServer,
) -> None:
    async with primary.admin() as client:
        inbox = make_inbox(client, replicas=1, wait_ms=50)
        hello = make_message("hello", event_id="e1")
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
                await inbox.enqueue(hello)
        with pytest.raises(StoreUnavailable):
            await inbox.check_writable(safely=True)
        await inbox.check_writable()
        inbox = make_inbox(client, replicas=1)
        replica = RedisServer("--replicaof", "127.0.0.1", str(primary.port))
        try:
            await replica.start()
            assert await wait_until(lambda: admission_of(inbox, hello)) == "duplicate"
            assert (await inbox.enqueue(make_message("again", event_id="e2")))[0] == "merged"
            await inbox.check_writable(safely=True)
            async with replica.admin() as copy:
                assert len(await copy.keys("kt:{q*}:box:*")) == 1
        finally:
            replica.close()
        assert [message.text for _, message in await inbox.mailboxes.messages(hello.session)] == [
            "hello",
            "again",
        ]


async def admission_of(inbox: Inbox, incoming: Incoming) -> str:
    """`""` while it is refused."""
    try:
        return (await inbox.enqueue(incoming))[0]
    except StoreUnavailable:
        return ""


async def test_a_message_waits_for_the_disk_where_that_is_asked_for(primary: RedisServer) -> None:
    async with primary.admin() as client:
        inbox = make_inbox(client, disk=True)
        assert (await inbox.enqueue(make_message("hello", event_id="e1")))[0] == "queued"
        assert (await inbox.enqueue(make_message("hello", event_id="e1")))[0] == "duplicate"
        assert "waitaof" in str(await client.info("commandstats"))
        await client.config_set("appendonly", "no")
        with pytest.raises(StoreError):
            await inbox.enqueue(make_message("and now"))


async def test_the_node_of_the_message_is_asked_on_a_cluster() -> None:
    async with running_cluster() as nodes, RedisCluster("127.0.0.1", nodes[0].port) as client:
        durability = Durability(client, is_cluster=True, disk=True, replicas=0)
        inbox = Inbox(client, InboxKeys("kt", 2), is_cluster=True, durability=durability)
        with pytest.raises(StoreError, match="appendonly is disabled"):
            await inbox.enqueue(make_message("hello", event_id="e1"))
        for node in nodes:
            async with node.admin() as admin:
                await admin.config_set("appendonly", "yes")
        assert (await inbox.enqueue(make_message("hello", event_id="e1")))[0] == "duplicate"
        await inbox.check_writable(safely=True)
