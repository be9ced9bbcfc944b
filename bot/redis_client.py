"""The connection to Redis, of whichever kind: `connect`, and `store_errors` for those who use it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    Redis,
    RedisCluster,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, MaxConnectionsError

from bot import redis_url
from bot.redis_url import RedisUrl
from bot.settings import Settings
from bot.store_errors import store_errors as store_errors

T = TypeVar("T")

IMPATIENT_S = 0.9
"""For those who must answer a platform within 3 s: with one last try, under 2 s in all."""
PATIENT_S = 10.0
"""For workers: longer than a fail-over by Sentinel, which takes some seconds."""
CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
CLUSTER_CONNECTIONS = 1024
"""A node. The cluster client raises where a pool would wait, so it gets more than can be used."""
CLUSTER_RETRIES = {False: 1, True: 5}


class RedisLink:
    """An open connection pool, and the embedded server behind it if there is one. Made by `connect`.

    Attributes:
        client: redis.asyncio's; replies are bytes.
        is_cluster: keys of one call must then share a hash tag.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        name: str,
        also_close: tuple[Callable[[], Awaitable[object]], ...] = (),
    ) -> None:
        self.client: Any = client
        self.is_cluster = isinstance(client, RedisCluster)
        self._name = name
        self._also_close = also_close

    def describe(self) -> str:
        """Where it leads, for people: no password."""
        return self._name

    async def aclose(self) -> None:
        await self.client.aclose()
        for close in self._also_close:
            await close()


async def connect(
    settings: Settings,
    *,
    patient: bool = False,
    max_connections: int = 64,
    read_timeout_s: float | None = READ_TIMEOUT_S,
) -> RedisLink:
    """Open the server in REDIS_URL, or the embedded one; it has answered once.

    Args:
        patient: try for about 10 s when the server is away; otherwise give up in under 2 s.
        max_connections: how many at most; who needs another waits for one.
        read_timeout_s: the longest a reply may take; None for blocking reads. At most 0.9 if not patient.

    Raises:
        SettingsError: REDIS_URL is wrong.
        StoreError: the server cannot be used; see which.
    """
    if settings.redis_url is not None:
        where = redis_url.parse(settings.redis_url.get_secret_value())
        link = _open(where, str(where), (), patient, max_connections, read_timeout_s)
    else:
        from bot.embedded import EmbeddedServer  # not everywhere: it needs flock

        server = await EmbeddedServer.start(settings.bot_data_dir)
        where = redis_url.parse(server.url)
        name = f"embedded server in {server.folder}"
        link = _open(where, name, (server.aclose,), patient, max_connections, read_timeout_s)
    try:
        with store_errors():
            await link.client.ping()
    except BaseException:
        await link.aclose()
        raise
    return link


def _open(
    where: RedisUrl,
    name: str,
    also_close: tuple[Callable[[], Awaitable[object]], ...],
    patient: bool,
    max_connections: int,
    read_timeout_s: float | None,
) -> RedisLink:
    if not patient and read_timeout_s is not None:
        read_timeout_s = min(read_timeout_s, IMPATIENT_S)
    total_s = PATIENT_S if patient else IMPATIENT_S
    options: dict[str, Any] = {
        **where.options,
        "socket_connect_timeout": CONNECT_TIMEOUT_S if patient else IMPATIENT_S,
        "socket_timeout": read_timeout_s,
        "driver_info": None,  # spares two round trips a connection
    }
    if where.kind == "cluster":
        cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in where.hosts],
            ssl=where.tls,
            max_connections=max(max_connections, CLUSTER_CONNECTIONS),
            retry=Retry(NoBackoff(), CLUSTER_RETRIES[patient]),
            **options,
        )
        return RedisLink(cluster, name, also_close)
    pool_options: dict[str, Any] = {
        **options,
        "db": where.db,
        "retry": Patience(total_s),
        "timeout": total_s,
        "max_connections": max_connections,
    }
    if where.kind == "sentinel":
        pool_options["ssl"] = where.tls
        if not where.tls:
            del pool_options["ssl"]
        sentinel = Sentinel(
            where.hosts,
            sentinel_kwargs={
                **{k: v for k, v in options.items() if k.startswith(("socket_", "ssl_"))},
                **where.sentinel_options,
                "socket_timeout": IMPATIENT_S,
                "ssl": where.tls,
                "driver_info": None,
                "retry": Retry(NoBackoff(), 0),
            },
        )
        client = sentinel.master_for(
            where.service, connection_pool_class=_BlockingSentinelPool, **pool_options
        )
        return RedisLink(client, name, (sentinel.aclose, *also_close))
    if where.kind == "unix":
        pool_options |= {"connection_class": UnixDomainSocketConnection, "path": where.path}
    else:
        host, port = where.hosts[0]
        kind = SSLConnection if where.tls else Connection
        pool_options |= {"connection_class": kind, "host": host, "port": port}
    return RedisLink(Redis.from_pool(BlockingConnectionPool(**pool_options)), name, also_close)


class _BlockingSentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Follows the primary, and waits for a free connection."""


_deadline: ContextVar[float | None] = ContextVar("redis_deadline", default=None)


class Patience(Retry):
    """Tries again for `total_s` seconds, then raises. A refused password is not tried again.

    redis-py nests retries (a command's try connects, which itself retries): the outermost one sets
    the time for all. Whatever is sent must be safe to repeat: a lost reply looks like a lost request.
    """

    def __init__(self, total_s: float) -> None:
        super().__init__(NoBackoff(), retries=-1)
        self.total_s = total_s

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[T]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        outer = _deadline.get()
        if outer is not None:
            return await self._try_until(outer, do, fail, is_retryable, with_failure_count)
        loop = asyncio.get_running_loop()
        token = _deadline.set(loop.time() + self.total_s)
        try:
            return await self._try_until(
                loop.time() + self.total_s, do, fail, is_retryable, with_failure_count
            )
        finally:
            _deadline.reset(token)

    async def _try_until(
        self,
        deadline: float,
        do: Callable[[], Awaitable[T]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None,
        with_failure_count: bool,
    ) -> T:
        failures = 0
        while True:
            try:
                return await do()
            except self._supported_errors as error:
                if isinstance(
                    error, (AuthenticationError, AuthorizationError, MaxConnectionsError)
                ):
                    raise
                if is_retryable and not is_retryable(error):
                    raise
                failures += 1
                await (fail(error, failures) if with_failure_count else fail(error))
                pause_s = min(0.02 * 2**failures, 1.0) * random.uniform(0.5, 1)  # noqa: S311  jitter
                if asyncio.get_running_loop().time() + pause_s > deadline:
                    raise
            await asyncio.sleep(pause_s)
