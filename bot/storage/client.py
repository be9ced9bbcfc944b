"""Redis client factory: standalone, TLS, unix socket, Sentinel, Cluster or the embedded server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import NoPermissionError
from redis.maint_notifications import MaintNotificationsConfig

from bot.settings import Settings
from bot.storage import url
from bot.storage.errors import store_errors
from bot.storage.fail_over import (
    FailOvers,
    PrimaryPool,
    SentinelConnection,
    SentinelPool,
    SentinelTlsConnection,
    TcpConnection,
    TlsConnection,
    UnixConnection,
)
from bot.storage.retry import DeadlineRetry
from bot.storage.url import RedisUrl

INGRESS_RETRY_S = 0.9
"""For callers that must answer a platform within 3 s: with one last try, under 2 s in all."""
WORKER_RETRY_S = 10.0
"""For workers: longer than a fail-over by Sentinel, which takes some seconds."""
CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
CLUSTER_CONNECTIONS = 1024
"""Per node. The cluster client raises where a pool would wait, so it gets more than can be used."""

Closers = tuple[Callable[[], Awaitable[object]], ...]


@dataclass(frozen=True, slots=True)
class _Limits:
    """Limits of a link, as the arguments of `connect` give them."""

    retry_for_s: float
    max_connections: int
    read_timeout_s: float | None


class RedisLink:
    """Open connection pool, with the embedded server behind it if there is one. Created by `connect`.

    Attributes:
        client: a redis.asyncio client; replies are bytes.
        is_cluster: whether the keys of one call must share a hash tag.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        name: str,
        also_close: Closers = (),
    ) -> None:
        self.client: Any = client
        self.is_cluster = isinstance(client, RedisCluster)
        self._name = name
        self._also_close = also_close

    def describe(self) -> str:
        """The address for people, without password."""
        return self._name

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:  # all are closed, whatever one of them raises
            for close in reversed(self._also_close):
                stack.push_async_callback(close)
            stack.push_async_callback(self.client.aclose)


async def connect(
    settings: Settings,
    *,
    retry_for_s: float = INGRESS_RETRY_S,
    max_connections: int = 64,
    read_timeout_s: float | None = READ_TIMEOUT_S,
    fail_overs: FailOvers | None = None,
) -> RedisLink:
    """Open a link to the server in REDIS_URL, or to the embedded one, and ping it.

    Args:
        retry_for_s: how long a command is tried again while the server is away, in seconds. It also
            bounds the time to connect and `read_timeout_s`.
        max_connections: size of the pool; a caller beyond it waits for a free connection.
        read_timeout_s: the longest a reply may take; None for blocking reads.
        fail_overs: what other links of the process to the same server have met; None: this is the only one.

    Raises:
        SettingsError: REDIS_URL is wrong.
        StoreError: the server cannot be used; see which.
    """
    limits = _Limits(retry_for_s, max_connections, read_timeout_s)
    fail_overs = fail_overs or FailOvers()
    if settings.redis_url is not None:
        where = url.parse(settings.redis_url.get_secret_value())
        link = _open(where, str(where), (), limits, fail_overs)
    else:
        from bot.storage.embedded.server import EmbeddedServer  # only where there is flock

        server = await EmbeddedServer.start(settings.bot_data_dir)
        where = url.parse(server.url)
        name = f"embedded server in {server.folder}"
        link = _open(where, name, (server.aclose,), limits, fail_overs)
    try:
        # Whose right to PING is missing is told by `bot.storage.rights`, with the others.
        with store_errors(), suppress(NoPermissionError):
            await link.client.ping()
    except BaseException:
        await link.aclose()
        raise
    return link


def _open(
    where: RedisUrl,
    name: str,
    also_close: Closers,
    limits: _Limits,
    fail_overs: FailOvers,
) -> RedisLink:
    retry_for_s, read_timeout_s = limits.retry_for_s, limits.read_timeout_s
    options: dict[str, Any] = {
        **where.options,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, retry_for_s),
        "socket_timeout": read_timeout_s and min(read_timeout_s, retry_for_s),
        # Both spare round trips for each connection, and the right to CLIENT.
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if where.kind == "cluster":
        return RedisLink(_cluster(where, options, limits), name, also_close)
    options |= {
        "db": where.db,
        "retry": DeadlineRetry(retry_for_s),
        "timeout": retry_for_s,  # for a free connection
        "max_connections": limits.max_connections,
        "fail_overs": fail_overs,
    }
    if where.kind == "sentinel":
        client, sentinel = _behind_sentinels(where, options)
        return RedisLink(client, name, (sentinel.aclose, *also_close))
    if where.kind == "unix":
        options |= {"connection_class": UnixConnection, "path": where.path}
    else:
        host, port = where.hosts[0]
        kind = TlsConnection if where.tls else TcpConnection
        options |= {"connection_class": kind, "host": host, "port": port}
    return RedisLink(Redis.from_pool(PrimaryPool(**options)), name, also_close)


def _cluster(where: RedisUrl, options: dict[str, Any], limits: _Limits) -> RedisCluster:
    return _Cluster(
        startup_nodes=[ClusterNode(host, port) for host, port in where.hosts],
        ssl=where.tls,
        max_connections=max(limits.max_connections, CLUSTER_CONNECTIONS),
        retry=Retry(NoBackoff(), max(1, int(limits.retry_for_s / CONNECT_TIMEOUT_S))),
        **options,
    )


CLOSING_S = 0.01
"""Longer than it takes to close a connection: the next try finds it closed, and opens it again."""


class _Cluster(RedisCluster):
    """Cluster client that retries on connections which another task closed.

    After a failure redis-py 8.1 closes the free connections of a node while other tasks take them.
    """

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **options: Any) -> Any:
        try:
            return await super()._execute_command(target_node, *args, **options)
        except (AttributeError, TypeError) as error:
            if "NoneType" not in str(error):
                raise
            # The stream is None by now, or (Python 3.12) its transport has no writer.
            await asyncio.sleep(CLOSING_S)  # other connections of the node are being closed, too
            raise LostConnection("closed by another task") from error


def _behind_sentinels(where: RedisUrl, options: dict[str, Any]) -> tuple[Redis, Sentinel]:
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        where.hosts,
        sentinel_kwargs={
            **{name: value for name, value in options.items() if name.startswith("ssl_")},
            **where.sentinel_options,
            "ssl": where.tls,
            "socket_connect_timeout": options["socket_connect_timeout"],
            "socket_timeout": INGRESS_RETRY_S,
            "driver_info": None,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
            "retry": Retry(NoBackoff(), 0),  # the next sentinel is asked instead
        },
    )
    client: Redis = sentinel.master_for(
        where.service,
        connection_pool_class=SentinelPool,
        connection_class=SentinelTlsConnection if where.tls else SentinelConnection,
        **options,
    )
    return client, sentinel
