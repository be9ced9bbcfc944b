"""Checks of `keepthread doctor` on Redis."""

from __future__ import annotations

from typing import Any

from bot.errors import KeepthreadError, StoreRefused
from bot.ports import Check
from bot.settings import Settings
from bot.storage.client import connect
from bot.storage.errors import store_errors
from bot.storage.rights import MissingRights, Rights, require_rights

MIN_VERSION = (6, 2)
WRITE_SCRIPT = "return redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])"
"""Script that writes, as all of ours do: it fails on replicas, full servers and missing rights."""
WRITE_TTL_MS = 1_000


async def check(settings: Settings) -> list[Check]:
    """Try all rights, write a key that expires soon, check the server's settings. Never raises KeepthreadError."""
    try:
        link = await connect(settings)
    except KeepthreadError as error:
        return [Check("redis", "failed", str(error), error.cure)]
    try:
        missing = await require_rights(link.client, settings)
        with store_errors():
            key = f"{settings.bot_redis_prefix}:doctor"
            await link.client.eval(WRITE_SCRIPT, 1, key, WRITE_TTL_MS)
        return [
            Check("redis", "ok", link.describe()),
            *_checks_of_rights(settings, missing),
            *await _check_settings(link.client),
        ]
    except KeepthreadError as error:
        return [Check("redis", "failed", f"{link.describe()}: {error}", error.cure)]
    finally:
        await link.aclose()


def _checks_of_rights(settings: Settings, missing: MissingRights) -> list[Check]:
    if not missing.useful:
        return []
    rights = Rights.of(settings)
    return [
        Check(
            "redis rights",
            "warning",
            f"the user {rights.user} lacks {' '.join(missing.useful)}: stops are found by polling",
            f"Say to Redis: {rights.acl_line(missing.useful)}",
        )
    ]


async def _check_settings(client: Any) -> list[Check]:
    """Checks of the server's settings, if its user may read them."""
    try:
        with store_errors():
            return _checks_of(await client.info("everything"))
    except StoreRefused as error:
        cure = "Give the user in REDIS_URL the command INFO too (ACL SETUSER … +info) to have it looked at."
        return [Check("redis settings", "warning", f"not looked at: {error}", cure)]


def _checks_of(info: dict[str, Any]) -> list[Check]:
    """Checks by the reply to INFO; hosted servers forbid CONFIG GET."""
    is_valkey = info.get("server_name") == "valkey"
    kind, version = (
        ("Valkey", str(info["valkey_version"]))
        if is_valkey
        else ("Redis", str(info["redis_version"]))
    )
    is_new = is_valkey or tuple(int(n) for n in version.split(".")[:2]) >= MIN_VERSION
    policy = str(info.get("maxmemory_policy", "unknown"))
    keeps = bool(info.get("aof_enabled"))
    return [
        Check("redis version", "ok", f"{kind} {version}")
        if is_new
        else Check(
            "redis version", "failed", f"{kind} {version}", "Use Redis 6.2 or newer, or Valkey."
        ),
        Check("redis persistence", "ok", "append-only file")
        if keeps
        else Check(
            "redis persistence",
            "warning",
            "no append-only file: a crash loses the last messages",
            "Set `appendonly yes` on the server.",
        ),
        Check("redis eviction", "ok", policy)
        if policy == "noeviction"
        else Check(
            "redis eviction",
            "warning",
            f"{policy}: a full server forgets conversations and messages unasked",
            "Set `maxmemory-policy noeviction` on the server.",
        ),
    ]
