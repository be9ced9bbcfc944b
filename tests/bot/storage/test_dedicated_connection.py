"""The dedicated connection: replies in order, each to its own sender, and never a wait without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis as sync_redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from bot.ports import TurnWrite
from bot.settings import Settings
from bot.storage.dedicated_connection import DedicatedConnection
from tests.fakes.redis_server import RedisServer, running_redis
from tests.support.handler_harness import open_handler
from tests.support.messages import KEY
from tests.support.wait import wait_until


@pytest.fixture
async def dedicated(redis_url: str) -> AsyncIterator[DedicatedConnection]:
    async with Redis.from_url(redis_url, socket_timeout=None) as client:
        made = DedicatedConnection(client)
        await made.ensure_open()
        yield made
        await made.aclose()


async def test_each_sender_gets_its_own_reply(dedicated: DedicatedConnection) -> None:
    numbers = [str(number) for number in range(200)]
    replies = await asyncio.gather(*(dedicated.send("ECHO", number) for number in numbers))
    assert [reply.decode() for reply in replies] == numbers


async def test_an_error_reply_goes_to_its_sender_alone(
    dedicated: DedicatedConnection, redis: Redis
) -> None:
    await redis.set("text", "x", ex=60)
    before, refused, after = await asyncio.gather(
        dedicated.send("ECHO", "a"),
        dedicated.send("HGET", "text", "f"),
        dedicated.send("ECHO", "b"),
        return_exceptions=True,
    )
    assert (before, after) == (b"a", b"b")
    assert isinstance(refused, ResponseError)
    assert await dedicated.send("ECHO", "c") == b"c"


async def test_a_cancelled_sender_shifts_no_reply_to_another(
    dedicated: DedicatedConnection,
) -> None:
    cancelled = asyncio.create_task(dedicated.send("BLPOP", "nothing", "0.05"))
    waiting = asyncio.create_task(dedicated.send("ECHO", "b"))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await waiting == b"b"
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_a_command_is_sent_before_anything_is_awaited(
    dedicated: DedicatedConnection, embedded_url: str
) -> None:
    sending = asyncio.create_task(dedicated.send("SET", "left", "1", "EX", "60"))
    await asyncio.sleep(0)  # its first step, and no other turn of the event loop
    with sync_redis.from_url(embedded_url) as client:
        assert client.get("left") == b"1"
    assert await sending == b"OK"


async def test_concurrent_callers_open_one_connection(redis: Redis) -> None:
    made = DedicatedConnection(redis)
    with pytest.raises(RedisError, match="not open"):
        await made.send("PING")
    before = len(await redis.client_list())
    await asyncio.gather(*(made.ensure_open() for _ in range(20)))
    assert len(await redis.client_list()) == before + 1
    await made.aclose()
    await made.aclose()
    with pytest.raises(RedisError, match="not open"):
        await made.send("PING")


def client_without_retries(server: RedisServer) -> Redis:
    return Redis(port=server.port, socket_timeout=None, retry=Retry(NoBackoff(), 0))


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as started:
        yield started


async def test_senders_fail_when_the_server_dies_and_another_connection_is_opened(
    server: RedisServer,
) -> None:
    async with client_without_retries(server) as client:
        made = DedicatedConnection(client)
        await made.ensure_open()
        server.freeze()
        waiting = [asyncio.create_task(made.send("PING")) for _ in range(3)]
        await asyncio.sleep(0)
        server.kill()
        assert all(
            isinstance(reply, RedisError)
            for reply in await asyncio.gather(*waiting, return_exceptions=True)
        )
        await made.ensure_open()  # the server is gone: `send` says so
        with pytest.raises(RedisError, match="not open"):
            await made.send("PING")
        await server.start()
        await made.ensure_open()
        assert await made.send("PING") == b"PONG"
        await made.aclose()


async def test_a_connection_without_replies_is_closed_after_its_timeout(
    server: RedisServer,
) -> None:
    async with client_without_retries(server) as client:
        made = DedicatedConnection(client, reply_timeout_s=0.1)
        await made.ensure_open()
        server.freeze()
        with pytest.raises(RedisError, match="no reply for"):
            await made.send("PING")
        server.thaw()

        async def is_back() -> bool:
            await made.ensure_open()
            try:
                return bool(await made.send("PING") == b"PONG")
            except RedisError:
                return False

        await wait_until(is_back)
        await made.aclose()


async def test_an_immediate_write_goes_over_the_pool_while_the_connection_is_not_open(
    redis: Redis, settings: Settings
) -> None:
    dedicated = DedicatedConnection(redis)
    async with open_handler(redis, settings, dedicated=dedicated) as harness:
        await harness.ask("hello")
        (turn,) = await harness.remembered()
        assert turn.answer_ids
        await dedicated.aclose()
        await harness.history.append(TurnWrite(turn, tokens=9, immediate=True))
        assert (await harness.history.read(KEY)).next_seq == 1
        await dedicated.aclose()
