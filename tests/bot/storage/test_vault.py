"""Stored secrets are encrypted, expire, and are read only with their key."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.errors import SettingsError
from bot.settings import Settings
from bot.storage.vault import TTL_S, RedisVault

VALUE = b"a platform's token"


def vault_with(redis: Redis, settings: Settings, key: str | None) -> RedisVault:
    return RedisVault(redis, settings.bot_redis_prefix, SecretStr(key) if key else None)


@pytest.fixture
def vault(redis: Redis, settings: Settings) -> RedisVault:
    return vault_with(redis, settings, "a long random text")


async def test_a_secret_comes_back_as_it_was(vault: RedisVault) -> None:
    value = bytes(range(256)) * 10
    await vault.set("slack/T1", value)
    assert await vault.get("slack/T1") == value
    assert await vault.get("slack/T2") is None
    await vault.set("slack/T1", b"")
    assert await vault.get("slack/T1") == b""


async def test_the_server_never_sees_a_secret(vault: RedisVault, redis: Redis) -> None:
    await vault.set("slack/T1", VALUE)
    await vault.set("slack/T2", VALUE)
    stored = [await redis.get(key) for key in await redis.keys("*")]
    assert len(set(stored)) == 2
    assert all(VALUE not in value for value in stored)


async def test_another_process_with_the_same_key_can_read_it(
    vault: RedisVault, redis: Redis, settings: Settings
) -> None:
    await vault.set("slack/T1", VALUE)
    assert await vault_with(redis, settings, "a long random text").get("slack/T1") == VALUE


async def test_a_secret_of_another_key_counts_as_missing(
    vault: RedisVault, redis: Redis, settings: Settings
) -> None:
    await vault.set("slack/T1", VALUE)
    assert await vault_with(redis, settings, "another long text").get("slack/T1") is None


async def test_a_tampered_secret_counts_as_missing(vault: RedisVault, redis: Redis) -> None:
    await vault.set("slack/T1", VALUE)
    (key,) = await redis.keys("*")
    sealed = bytearray(await redis.get(key))
    sealed[-5] ^= 1
    await redis.set(key, bytes(sealed), ex=100)
    assert await vault.get("slack/T1") is None
    await redis.set(key, b"\xff nonsense", ex=100)
    assert await vault.get("slack/T1") is None


async def test_nothing_is_stored_and_nothing_needed_without_a_key(
    redis: Redis, settings: Settings
) -> None:
    keyless = vault_with(redis, settings, None)
    with pytest.raises(SettingsError, match="BOT_ENCRYPTION_KEY") as caught:
        await keyless.set("slack/T1", VALUE)
    assert caught.value.cure
    assert await redis.keys("*") == []
    assert await keyless.get("slack/T1") is None


async def test_a_secret_lives_as_long_as_was_asked(vault: RedisVault, redis: Redis) -> None:
    await vault.set("long", VALUE)
    await vault.set("short", VALUE, ttl_s=60)
    names = {key.rpartition(b":")[2]: await redis.ttl(key) for key in await redis.keys("*")}
    assert TTL_S - 60 < names[b"long"] <= TTL_S
    assert 0 < names[b"short"] <= 60


async def test_a_deleted_secret_is_gone(vault: RedisVault) -> None:
    await vault.set("slack/T1", VALUE)
    await vault.delete("slack/T1")
    await vault.delete("slack/T1")
    assert await vault.get("slack/T1") is None


async def test_names_are_found_by_their_beginning_alone(vault: RedisVault) -> None:
    names = ("slack/T1", "slack/T1/U1", "slack/T2", "a*b", "axb", "a[x]", "a^x", "a\\x", "é")
    for name in names:
        await vault.set(name, VALUE)
    assert await vault.names("slack/T1") == ("slack/T1", "slack/T1/U1")
    assert await vault.names("") == tuple(sorted(names))
    for prefix in ("a*", "a[", "a^", "a\\", "é"):
        assert await vault.names(prefix) == tuple(n for n in names if n.startswith(prefix))
    assert await vault.names("slack/T9") == ()


async def test_two_deployments_on_one_server_do_not_see_each_other(
    vault: RedisVault, redis: Redis
) -> None:
    await vault.set("slack/T1", VALUE)
    other = RedisVault(redis, "other", SecretStr("a long random text"))
    assert await other.get("slack/T1") is None
    assert await other.names("") == ()
