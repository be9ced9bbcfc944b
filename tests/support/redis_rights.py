"""Redis users with few rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pydantic import SecretStr
from redis.asyncio import Redis

from bot.settings import Settings
from bot.storage.rights import Rights
from tests.fakes.redis_server import RedisServer, running_redis

USER = "keeper"


def settings_of_user(settings: Settings, port: int) -> Settings:
    """`settings` with the limited user on this port of loopback."""
    url = SecretStr(f"redis://{USER}:any@127.0.0.1:{port}")
    return settings.model_copy(update={"redis_url": url})


def least_rules(settings: Settings) -> tuple[str, ...]:
    """The rights that the bot needs at the least, as rules."""
    return Rights.of(settings).rules


async def give(admin: Redis, *rules: str) -> None:
    """Change the limited user's rights; at first it has none."""
    await admin.execute_command("ACL", "SETUSER", USER, "on", "nopass", *rules)


async def refusals(admin: Redis) -> list[str]:
    """What the limited user was refused."""
    return [f"{entry['reason']} {entry['object']}" for entry in await admin.acl_log()]


@asynccontextmanager
async def running_limited_redis(
    settings: Settings, *rules: str, options: Sequence[str] = ()
) -> AsyncIterator[tuple[RedisServer, Settings]]:
    """Run a server, with these options, and a user of these rights. Yields it, and settings of that user."""
    async with running_redis(*options) as server:
        async with server.admin() as admin:
            await give(admin, *rules)
        yield server, settings_of_user(settings, server.port)
