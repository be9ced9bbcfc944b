"""Rights of the user in REDIS_URL: the commands, keys and channels that the bot needs, as rules of an ACL.

The commands of scripts are read out of the scripts. Those that Python sends are listed in `CLIENT_COMMANDS`, which
tests/bot/storage/test_rights.py compares with the code. The syntax of rules: redis.io/commands/acl-setuser.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Self

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from bot.errors import StoreRefused
from bot.settings import Settings
from bot.storage import url
from bot.storage.errors import missing_right, store_errors

CLIENT_COMMANDS = frozenset(
    [
        "EVAL",
        "EVALSHA",
        "EXEC",
        "EXISTS",
        "EXPIRE",
        "GET",
        "HDEL",
        "HGET",
        "HGETALL",
        "HLEN",
        "HMGET",
        "HSET",
        "MULTI",
        "PING",
        "SCAN",
        "SET",
        "TTL",
        "UNLINK",
        "XDEL",
        "XLEN",
        "XRANGE",
        "XREAD",
        "ZADD",
        "ZCARD",
        "ZREMRANGEBYRANK",
        "ZREVRANGE",
    ]
)
"""Commands that Python sends whatever the settings are."""
CLUSTER_COMMANDS = frozenset({"ASKING", "CLUSTER|SLOTS", "COMMAND"})
"""Commands with which the cluster client finds the node of a key."""
CHANNEL_COMMANDS = frozenset({"PUBLISH", "SUBSCRIBE"})
"""Commands with a substitute: without them stops are found by polling."""
DOCTOR_COMMANDS = frozenset({"INFO"})
"""Commands that only `keepthread doctor` sends, and does without."""

_CALL = re.compile(r"call\(\s*'(?:(XGROUP|XINFO)', *')?([A-Z]+)'")
"""Call of a command in a script; some commands have subcommands, with rights of their own."""
_KEYS = ("probe", "{q0}:probe", "{doctor}:state", "note:probe", "person:probe", "vault:probe")
"""One key of each kind, after the prefix."""
_SUBSCRIBE_TIMEOUT_S = 2.0

_ARGUMENTS = {
    "ASKING": "",
    "CLIENT|SETNAME": "keepthread",
    "CLUSTER|SLOTS": "",
    "COMMAND": "COUNT",
    "DEL": "KEY",
    "EVAL": "return 0",
    "EVALSHA": "none 0",
    "EXEC": "",
    "EXISTS": "KEY",
    "EXPIRE": "KEY 1",
    "GET": "KEY",
    "HDEL": "KEY f",
    "HEXISTS": "KEY f",
    "HGET": "KEY f",
    "HGETALL": "KEY",
    "HINCRBY": "KEY f 1",
    "HLEN": "KEY",
    "HMGET": "KEY f",
    "HSET": "KEY f 1",
    "HSETNX": "KEY f 1",
    "MULTI": "",
    "PEXPIRE": "KEY 1000",
    "PING": "",
    "RENAME": "KEY KEY",
    "SCAN": "0 COUNT 1",
    "SELECT": "DB",
    "SET": "KEY 1 PX 1000",
    "TIME": "",
    "TTL": "KEY",
    "UNLINK": "KEY",
    "WAIT": "0 1",
    "WAITAOF": "0 0 1",
    "XACK": "KEY w 0-1",
    "XADD": "KEY * f 1",
    "XAUTOCLAIM": "KEY w c 0 0",
    "XCLAIM": "KEY w c 0 0-1",
    "XDEL": "KEY 0-1",
    "XGROUP|CREATE": "KEY w 0",
    "XGROUP|DELCONSUMER": "KEY w c",
    "XINFO|CONSUMERS": "KEY w",
    "XINFO|GROUPS": "KEY",
    "XLEN": "KEY",
    "XRANGE": "KEY - + COUNT 1",
    "XREAD": "COUNT 1 STREAMS KEY 0-1",
    "XREADGROUP": "GROUP w c COUNT 1 STREAMS KEY >",
    "ZADD": "KEY 1 m",
    "ZCARD": "KEY",
    "ZRANGE": "KEY 0 0",
    "ZRANGEBYSCORE": "KEY 0 0",
    "ZREM": "KEY m",
    "ZREMRANGEBYRANK": "KEY 0 0",
    "ZREVRANGE": "KEY 0 0",
}
"""Arguments with which each command is tried. Rights are checked before all else: any other error proves the right.

KEY is a string that expires, so commands on other types change nothing.
"""
_FIRST, _LAST = ("SET",), ("EXPIRE", "PEXPIRE", "RENAME", "DEL", "UNLINK", "MULTI", "EXEC")


@dataclass(frozen=True, slots=True)
class MissingRights:
    """Rules that a user lacks, such as `+time`: needed ones, and those with a substitute."""

    needed: tuple[str, ...] = ()
    useful: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """Rights that the settings ask for.

    Attributes:
        user: name of the user in REDIS_URL.
        commands: commands without which messages would not be answered; after `|` a subcommand.
        channel: channel of stops; `""` on a cluster, where stops are found by polling.
    """

    user: str
    prefix: str
    commands: tuple[str, ...]
    channel: str
    db: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The rights for REDIS_URL, or for a server on this machine. Raises SettingsError."""
        address = (
            settings.redis_url.get_secret_value() if settings.redis_url else "redis://localhost"
        )
        where = url.parse(address)
        is_cluster = where.kind == "cluster"
        used = {
            "CLIENT|SETNAME": "client_name" in where.options,
            "SELECT": where.db > 0,
            "WAIT": settings.bot_wait_for_replicas > 0,
            "WAITAOF": settings.bot_wait_for_disk,
            **dict.fromkeys(CLUSTER_COMMANDS, is_cluster),
        }
        commands = script_commands() - CHANNEL_COMMANDS | CLIENT_COMMANDS
        commands |= {command for command, is_used in used.items() if is_used}
        return cls(
            where.options.get("username", "default"),
            settings.bot_redis_prefix,
            tuple(sorted(commands)),
            "" if is_cluster else f"{settings.bot_redis_prefix}:stops",
            where.db,
        )

    @property
    def rules(self) -> tuple[str, ...]:
        """All of them, for a user who has no right."""
        channel = ("resetchannels", f"&{self.prefix}:*") if self.channel else ()
        commands = {*self.commands, *(CHANNEL_COMMANDS if self.channel else ())}
        return (f"~{self.prefix}:*", *channel, *(f"+{name.lower()}" for name in sorted(commands)))

    def acl_line(self, rules: Iterable[str]) -> str:
        """The command that gives the user these rules."""
        return " ".join(("ACL SETUSER", self.user, *rules))

    async def find_missing(self, client: Any) -> MissingRights:
        """Try each right, on a cluster at each primary. Raises StoreError."""
        needed: set[str] = set()
        with store_errors():
            async with _open_connections(client) as connections:
                for connection in connections:
                    needed |= {rule async for rule in self._try_commands(connection)}
            useful = {rule async for rule in self._try_channel(client)} if self.channel else set()
        return MissingRights(tuple(sorted(needed)), tuple(sorted(useful)))

    async def _try_commands(self, connection: Any) -> AsyncIterator[str]:
        """Rules that this connection's user lacks."""
        probes = list(self._probes())
        await connection.send_packed_command(connection.pack_commands(probes))
        for _ in probes:
            try:
                await connection.read_response()
            except ResponseError as error:
                if rule := missing_right(error):
                    yield self._with_prefix(rule)

    async def _try_channel(self, client: Any) -> AsyncIterator[str]:
        async def subscribe() -> None:
            async with client.pubsub() as subscriber:
                await subscriber.subscribe(self.channel)
                await subscriber.get_message(timeout=_SUBSCRIBE_TIMEOUT_S)

        for attempt in (subscribe(), client.publish(self.channel, "")):
            try:
                await attempt
            except ResponseError as error:
                if rule := missing_right(error):
                    yield self._with_prefix(rule)

    def _probes(self) -> Iterator[tuple[str, ...]]:
        """Commands that try each right; what they write is gone within a second."""
        for key in _KEYS:
            yield "SET", f"{self.prefix}:{key}", "1", "PX", "1000"
            yield "GET", f"{self.prefix}:{key}"
        values = {"KEY": f"{self.prefix}:{{doctor}}:probe", "DB": str(self.db)}
        others = set(self.commands) - {*_FIRST, *_LAST}
        for command in (*_FIRST, *sorted(others), *_LAST):
            arguments = _ARGUMENTS[command].split()
            yield (*command.split("|"), *(values.get(word, word) for word in arguments))

    def _with_prefix(self, rule: str) -> str:
        return f"{rule}{self.prefix}:*" if rule in ("~", "&") else rule


async def require_rights(client: Any, settings: Settings) -> MissingRights:
    """Try all rights, before messages are received that could be handled by halves only.

    Raises:
        StoreRefused: one is missing that has no substitute; the cure is the line to give to Redis.
    """
    rights = Rights.of(settings)
    missing = await rights.find_missing(client)
    if missing.needed:
        raise StoreRefused(
            f"the user {rights.user} lacks {' '.join(missing.needed)}",
            cure=f"Say to Redis: {rights.acl_line((*missing.needed, *missing.useful))}",
        )
    return missing


@cache
def script_commands() -> frozenset[str]:
    """Commands that our scripts call."""
    folders = [package.joinpath("lua") for package in files("bot").iterdir() if package.is_dir()]
    texts = [
        script.read_text(encoding="utf-8")
        for folder in folders
        if folder.is_dir()
        for script in folder.iterdir()
    ]
    calls = [call for text in texts for call in _CALL.findall(text)]
    return frozenset("|".join(filter(None, call)) for call in calls)


@asynccontextmanager
async def _open_connections(client: Any) -> AsyncIterator[list[Any]]:
    """A connection to the server, on a cluster one to each primary; closed afterwards."""
    async with AsyncExitStack() as stack:
        if not isinstance(client, RedisCluster):
            pool = client.connection_pool
            connection: Any = await pool.get_connection()
            stack.push_async_callback(pool.release, connection)
            stack.push_async_callback(connection.disconnect)
            yield [connection]
            return
        await client.initialize()
        connections: list[Any] = []
        for node in client.get_primaries():
            connection = node.acquire_connection()
            stack.callback(node.release, connection)
            stack.push_async_callback(connection.disconnect)
            await connection.connect()
            connections.append(connection)
        yield connections
