"""The connection on which a command leaves at once: in order, for its own sender, and never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis as sync_redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from bot.settings import Settings
from bot.storage.dedicated_connection import DedicatedConnection
from tests.fakes.redis_server import RedisServer, running
from tests.support.handler_harness import open_handler
from tests.support.messages import KEY
from tests.support.wait import wait_until


@pytest.fixture
async def courier(redis_url: str) -> AsyncIterator[DedicatedConnection]:
    async with Redis.from_url(redis_url, socket_timeout=None) as client:
        made = DedicatedConnection(client)
        await made.be_ready()
        yield made
        await made.aclose()


async def test_each_sender_gets_its_own_reply(courier: DedicatedConnection) -> None:
    words = [str(number) for number in range(200)]
    replies = await asyncio.gather(*(courier.send("ECHO", word) for word in words))
    assert [reply.decode() for reply in replies] == words


async def test_a_refusal_is_for_its_sender_alone(
    courier: DedicatedConnection, redis: Redis
) -> None:
    await redis.set("text", "x", ex=60)
    before, refused, after = await asyncio.gather(
        courier.send("ECHO", "a"),
        courier.send("HGET", "text", "f"),
        courier.send("ECHO", "b"),
        return_exceptions=True,
    )
    assert (before, after) == (b"a", b"b")
    assert isinstance(refused, ResponseError)
    assert await courier.send("ECHO", "c") == b"c"


async def test_a_sender_that_waits_no_longer_shifts_no_reply_to_another(
    courier: DedicatedConnection,
) -> None:
    impatient = asyncio.create_task(courier.send("BLPOP", "nothing", "0.05"))
    patient = asyncio.create_task(courier.send("ECHO", "b"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == b"b"
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_command_has_left_before_anything_is_awaited(
    courier: DedicatedConnection, embedded_url: str
) -> None:
    sending = asyncio.create_task(courier.send("SET", "left", "1", "EX", "60"))
    await asyncio.sleep(0)  # its first step, and no other turn of the event loop
    with sync_redis.from_url(embedded_url) as client:
        assert client.get("left") == b"1"
    assert await sending == b"OK"


async def test_many_who_need_it_open_one_connection(redis: Redis) -> None:
    made = DedicatedConnection(redis)
    with pytest.raises(RedisError, match="not ready"):
        await made.send("PING")
    before = len(await redis.client_list())
    await asyncio.gather(*(made.be_ready() for _ in range(20)))
    assert len(await redis.client_list()) == before + 1
    await made.aclose()
    await made.aclose()
    with pytest.raises(RedisError, match="not ready"):
        await made.send("PING")


def impatient_client(server: RedisServer) -> Redis:
    return Redis(port=server.port, socket_timeout=None, retry=Retry(NoBackoff(), 0))


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with running() as started:
        yield started


async def test_whoever_waits_is_told_when_the_server_dies_and_another_line_is_opened(
    server: RedisServer,
) -> None:
    async with impatient_client(server) as client:
        made = DedicatedConnection(client)
        await made.be_ready()
        server.freeze()
        waiting = [asyncio.create_task(made.send("PING")) for _ in range(3)]
        await asyncio.sleep(0)
        server.kill()
        assert all(
            isinstance(one, RedisError)
            for one in await asyncio.gather(*waiting, return_exceptions=True)
        )
        await made.be_ready()  # nobody there: said when something is sent
        with pytest.raises(RedisError, match="not ready"):
            await made.send("PING")
        await server.start()
        await made.be_ready()
        assert await made.send("PING") == b"PONG"
        await made.aclose()


async def test_a_line_that_went_dead_is_given_up(
    server: RedisServer,
) -> None:
    async with impatient_client(server) as client:
        made = DedicatedConnection(client, reply_s=0.1)
        await made.be_ready()
        server.freeze()
        with pytest.raises(RedisError, match="no reply for"):
            await made.send("PING")
        server.thaw()

        async def is_back() -> bool:
            await made.be_ready()
            try:
                return bool(await made.send("PING") == b"PONG")
            except RedisError:
                return False

        await wait_until(is_back)
        await made.aclose()


async def test_what_the_courier_cannot_take_goes_the_usual_way(
    redis: Redis, settings: Settings
) -> None:
    async with open_handler(redis, settings) as harness:
        harness.history.courier = DedicatedConnection(redis)
        await harness.ask("hello")
        await harness.history.courier.aclose()
        (turn,) = await harness.remembered()
        assert turn.answer_ids
        harness.history.courier = DedicatedConnection(redis)  # never made ready
        await harness.history.append(turn, tokens=9, at_once=True)
        assert (await harness.history.read(KEY)).next_seq == 1
        await harness.history.courier.aclose()
