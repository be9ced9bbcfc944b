"""Checks of Redis: settings that lose data and refused writes are named, with a cure."""

from __future__ import annotations

import pytest

from bot.settings import Settings
from bot.storage.doctor import check
from tests.bot.storage.client_harness import at
from tests.fakes.redis_server import (
    running_cluster,
    running_redis,
)


async def test_the_doctor_finds_nothing_wrong_with_the_embedded_server(settings: Settings) -> None:
    checks = await check(settings)
    assert [c.state for c in checks] == ["ok"] * 4
    assert checks[1].detail.startswith("Valkey ")


async def test_the_doctor_names_what_loses_data_and_its_cure() -> None:
    async with running_redis("--maxmemory-policy", "allkeys-lru") as server:
        checks = {c.name: c for c in await check(at(f"redis://127.0.0.1:{server.port}"))}
    assert checks["redis"].state == "ok"
    for name, cure in (
        ("redis persistence", "appendonly yes"),
        ("redis eviction", "maxmemory-policy noeviction"),
    ):
        assert checks[name].state == "warning"
        assert cure in checks[name].cure


async def test_the_doctor_looks_at_a_cluster() -> None:
    async with running_cluster(2) as nodes:
        checks = await check(at(f"redis+cluster://127.0.0.1:{nodes[0].port}"))
    assert [c.state for c in checks] == ["ok", "ok", "warning", "ok"]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "nonsense"])
async def test_the_doctor_says_that_the_server_is_away_and_does_not_raise(url: str) -> None:
    (only,) = await check(at(url))
    assert only.state == "failed"
    assert "REDIS_URL" in only.cure + only.detail


async def test_the_doctor_notices_a_server_that_takes_no_writes() -> None:
    async with (
        running_redis() as primary,
        running_redis("--replicaof", f"127.0.0.1 {primary.port}") as replica,
    ):
        (only,) = await check(at(f"redis://127.0.0.1:{replica.port}"))
        async with primary.admin() as client:
            await client.config_set("maxmemory", 1)
        (full,) = await check(at(f"redis://127.0.0.1:{primary.port}"))
    assert (only.state, full.state) == ("failed", "failed")
    assert "primary" in only.cure
    assert "maxmemory" in full.cure


async def test_the_doctor_finds_nothing_wrong_with_a_user_of_all_needed_rights() -> None:
    async with running_redis() as server:
        async with server.admin() as client:
            rights = ("~keepthread:*", "&*", "+@all", "-@dangerous")
            await client.execute_command("ACL", "SETUSER", "bot", "on", "nopass", *rights)
        usable, unseen = await check(at(f"redis://bot:any@127.0.0.1:{server.port}"))
    assert (usable.state, unseen.state) == ("ok", "warning")
    assert "+info" in unseen.cure
