"""Connections to Redis of every kind, and their errors."""

from __future__ import annotations

import asyncio
import gc
import ssl
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.errors import (
    SettingsError,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from bot.settings import Settings
from bot.storage.client import INGRESS_RETRY_S, WORKER_RETRY_S, connect
from bot.storage.errors import store_errors
from tests.bot.storage.client_harness import WORD, at, works
from tests.fakes.free_ports import free_port
from tests.fakes.redis_server import (
    certificate,
    running_cluster,
    running_redis,
    running_sentinels,
    tls_proxy,
)
from tests.support.wait import wait_until


async def test_the_embedded_server_is_used_without_an_address_and_ends_with_the_link(
    tmp_path: Path,
) -> None:
    link = await connect(at(None, bot_data_dir=tmp_path))
    assert await works(link)
    assert not link.is_cluster
    assert link.describe() == f"embedded server in {tmp_path / 'redis'}"
    await link.aclose()
    assert not (tmp_path / "redis" / "valkey.sock").exists()


async def test_a_server_is_reached_by_unix_socket(settings: Settings, redis: Redis) -> None:
    link = await connect(settings)
    assert await works(link)
    assert await redis.get("{k}a") == b"\xff"
    assert link.describe().startswith("unix:///")
    await link.aclose()


async def test_a_server_is_reached_by_tcp_with_a_password_and_a_database() -> None:
    async with running_redis("--requirepass", WORD, password=WORD) as server:
        link = await connect(at(f"redis://:{WORD}@127.0.0.1:{server.port}/3"))
        assert await works(link)
        assert link.describe() == f"redis://127.0.0.1:{server.port}/3"
        await link.aclose()
        for url in (f"redis://:wrong@127.0.0.1:{server.port}", f"redis://127.0.0.1:{server.port}"):
            with pytest.raises(StoreRefused) as caught:
                await connect(at(url), retry_for_s=WORKER_RETRY_S)
            assert "password" in caught.value.cure
            assert "wrong" not in str(caught.value)


async def test_a_server_is_reached_by_tls_only_with_a_valid_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    async with running_redis() as server, tls_proxy(server.port, cert, key) as port:
        link = await connect(at(f"rediss://localhost:{port}?ssl_ca_certs={cert}"))
        assert await works(link)
        await link.aclose()

        with pytest.raises(StoreRefused) as caught:
            await connect(at(f"rediss://localhost:{port}"))
        assert "ssl_ca_certs" in caught.value.cure
        assert isinstance(
            (caught.value.__cause__ or caught.value).__context__, ssl.SSLCertVerificationError
        )

        unchecked = await connect(at(f"rediss://localhost:{port}?ssl_cert_reqs=none"))
        assert await works(unchecked)
        await unchecked.aclose()


async def test_a_cluster_takes_keys_scripts_and_transactions_of_one_tag_on_every_node() -> None:
    async with running_cluster(3) as nodes:
        seeds = ",".join(f"127.0.0.1:{node.port}" for node in nodes[:2])
        link = await connect(at(f"redis+cluster://{seeds}"))
        assert link.is_cluster
        assert link.describe() == f"redis+cluster://{seeds}"
        with store_errors():
            for i in range(12):
                async with link.client.pipeline(transaction=True) as pipe:
                    pipe.set(f"{{{i}}}a", i, ex=60)
                    pipe.set(f"{{{i}}}b", i, ex=60)
                    assert await pipe.execute() == [True, True]
                script = "return redis.call('GET', KEYS[1]) + redis.call('GET', KEYS[2])"
                assert await link.client.eval(script, 2, f"{{{i}}}a", f"{{{i}}}b") == 2 * i
        for node in nodes:
            async with node.admin() as client:
                assert await client.dbsize() > 0
        with pytest.raises(StoreError), store_errors():
            await link.client.eval("return 1", 2, "a", "b")

        for node in nodes:
            node.kill()
        with pytest.raises(StoreUnavailable):
            await works(link)
        await link.aclose()
        with pytest.raises(StoreUnavailable):
            await connect(at(f"redis+cluster://{seeds}"))
        gc.collect()  # a connection left open would be found now


async def test_a_clusters_connections_may_be_closed_while_they_are_taken() -> None:
    async with running_cluster(1) as nodes:
        link = await connect(
            at(f"redis+cluster://127.0.0.1:{nodes[0].port}"), retry_for_s=WORKER_RETRY_S
        )

        async def close_again_and_again() -> None:  # as redis-py does after a failure
            while True:
                for node in link.client.get_nodes():
                    await node.disconnect_free_connections()
                await asyncio.sleep(0.001)

        async def write(number: int) -> None:
            for _ in range(40):
                with store_errors():
                    await link.client.set(number, 1, ex=60)

        closing = asyncio.create_task(close_again_and_again())
        await asyncio.gather(*(write(number) for number in range(20)))
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await link.aclose()


async def test_a_server_that_is_no_cluster_is_told_from_one_that_is_down() -> None:
    async with running_redis() as server:
        with pytest.raises(StoreRefused) as caught:
            await connect(at(f"redis+cluster://127.0.0.1:{server.port}"))
        assert "redis://" in caught.value.cure


async def test_a_cluster_address_without_its_scheme_is_reported() -> None:
    async with running_cluster(2) as nodes:
        link = await connect(at(f"redis://127.0.0.1:{nodes[0].port}"))

        async def write_to_every_slot() -> None:
            with store_errors():
                for i in range(20):
                    await link.client.set(i, i, ex=60)

        with pytest.raises(StoreRefused, match="MovedError") as caught:
            await write_to_every_slot()
        assert "redis+cluster://" in caught.value.cure
        await link.aclose()


@pytest.mark.slow
async def test_a_worker_link_follows_sentinel_through_a_fail_over() -> None:
    async with running_sentinels() as (primary, replica, sentinels):
        hosts = ",".join(f"127.0.0.1:{s.port}" for s in sentinels)
        down = free_port()  # the first sentinel asked does not exist
        settings = at(f"redis+sentinel://127.0.0.1:{down},{hosts}/mymaster/0")
        link = await connect(settings, retry_for_s=WORKER_RETRY_S)
        assert await works(link)
        async with replica.admin() as client:
            await wait_until(lambda: client.get("{k}a"))
        primary.kill()

        assert await works(link)  # without an error in between
        async with replica.admin() as client:
            assert (await client.info("replication"))["role"] == "master"
        await link.aclose()

        with pytest.raises(StoreUnavailable, match="othermaster"):
            await connect(at(f"redis+sentinel://{hosts}/othermaster"))


async def test_a_link_of_ingress_gives_up_soon_and_one_of_a_worker_waits_for_the_server() -> None:
    async with running_redis() as server:
        url = f"redis://127.0.0.1:{server.port}"
        ingress = await connect(at(url))
        worker = await connect(at(url), retry_for_s=WORKER_RETRY_S)
        server.kill()
        with pytest.raises(StoreUnavailable) as caught:
            await works(ingress)
        assert caught.value.can_retry
        assert caught.value.cure

        waiting = asyncio.create_task(works(worker))
        with pytest.raises(StoreUnavailable):
            await works(ingress)
        assert not waiting.done()
        await server.start()
        assert await waiting
        assert await works(ingress), "the same link works again when the server is back"
        await ingress.aclose()
        await worker.aclose()


@pytest.mark.parametrize("how", ["refused", "frozen", "frozen while connected"])
async def test_ingress_fails_before_its_platform_gives_up(how: str) -> None:
    """Slack and Telegram wait 3 s or more for their acknowledgement; a starved process may be later."""
    assert 2 * INGRESS_RETRY_S < 2
    async with running_redis() as server:
        settings = at(f"redis://127.0.0.1:{server.port}")
        link = await connect(settings) if how == "frozen while connected" else None
        if how == "refused":
            server.kill()
        else:
            server.freeze()
        async with asyncio.timeout(WORKER_RETRY_S - 1):
            with pytest.raises(StoreUnavailable):
                await (works(link) if link else connect(settings))
        server.thaw() if how != "refused" else None
        if link:
            await link.aclose()


async def test_a_missing_server_is_reported() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        await connect(at(f"redis://:{WORD}@127.0.0.1:{free_port()}"))
    assert WORD not in str(caught.value)
    assert "REDIS_URL" in caught.value.cure


async def test_another_kind_of_server_is_reported() -> None:
    async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak_http, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(StoreRefused) as caught:
        await connect(at(f"redis://127.0.0.1:{port}"))
    assert "Valkey" in caught.value.cure
    server.close()
    await server.wait_closed()


async def test_a_wrong_address_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError):
        await connect(at("localhost:6379"))


async def test_a_full_server_says_so_also_out_of_a_script_or_a_transaction() -> None:
    async with running_redis("--maxmemory-policy", "noeviction") as server:
        link = await connect(at(f"redis://127.0.0.1:{server.port}"))
        assert await works(link)
        async with server.admin() as client:
            await client.config_set("maxmemory", 100_000)
        with pytest.raises(StoreFull) as caught:
            await works(link)
        assert caught.value.can_retry
        with pytest.raises(StoreFull), store_errors():
            await link.client.eval("return redis.call('SET', KEYS[1], 'v')", 1, "k")
        with pytest.raises(StoreFull), store_errors():
            async with link.client.pipeline(transaction=True) as pipe:
                await pipe.set("k", "v").execute()
        assert await link.client.get("{k}a"), "what is there can still be read"
        await link.aclose()


async def test_a_server_that_cannot_write_its_disk_says_so() -> None:
    async with running_redis("--save", "3600 1") as server:
        link = await connect(at(f"redis://127.0.0.1:{server.port}"))
        for item in server.folder.iterdir():
            item.unlink()
        server.folder.rmdir()
        await link.client.bgsave()

        async def refuses() -> bool:
            try:
                return not await works(link)
            except StoreFull as error:
                return "disk" in error.cure

        await wait_until(refuses)
        await link.aclose()


async def test_a_user_without_rights_is_told_which_to_give() -> None:
    async with running_redis() as server:
        async with server.admin() as client:
            await client.acl_setuser(
                "bot",
                enabled=True,
                passwords=[f"+{WORD}"],
                keys=["*"],
                commands=["+ping", "+hello", "+client"],
            )
        link = await connect(at(f"redis://bot:{WORD}@127.0.0.1:{server.port}"))
        with pytest.raises(StoreRefused, match="NoPermission") as caught:
            await works(link)
        assert "ACL SETUSER" in caught.value.cure
        await link.aclose()


async def test_more_callers_than_connections_wait_their_turn(settings: Settings) -> None:
    link = await connect(settings, max_connections=3)
    with store_errors():
        done = await asyncio.gather(*(link.client.incr("n") for _ in range(200)))
        await link.client.delete("n")
        connected = {c["id"] for c in await link.client.client_list()}
    assert sorted(done) == list(range(1, 201))
    assert len(connected) <= 3 + 1  # and the fixture's own
    await link.aclose()


async def test_a_blocking_read_may_wait_longer_than_other_replies(settings: Settings) -> None:
    waiting = await connect(settings, retry_for_s=WORKER_RETRY_S, read_timeout_s=None)
    with store_errors():
        assert await waiting.client.blpop("nothing", timeout=1.2) is None
    await waiting.aclose()
