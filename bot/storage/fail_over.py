"""Redis connections that reconnect after a fail-over, when their server has become a replica.

After a fail-over behind a name (DNS, a Kubernetes service, a proxy) the old primary often lives on as a replica, with
all its connections. It refuses what is sent there, and nothing closes them. So a refusal closes the connection, which
redis-py then opens again as after any loss, and makes every older connection of the process stale.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import structlog
from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as LostConnection

from bot.storage.errors import NotPrimaryError

log = structlog.get_logger("keepthread.redis")

_CODES = {
    ReadOnlyError: "READONLY",
    MasterDownError: "MASTERDOWN",
    ClusterDownError: "CLUSTERDOWN",
    BusyLoadingError: "LOADING",
}
_CODE_IN_TEXT = re.compile(r"(?:^|[\s:-])(READONLY|MASTERDOWN|CLUSTERDOWN|LOADING|UNBLOCKED) ")
"""A code in the error of a script, or of a command that the change of role interrupted."""
_REPLICA_CODES = frozenset({"READONLY", "MASTERDOWN"})


class FailOvers:
    """Fail-overs that the connections of a process have met; shared by all its links to one server.

    Attributes:
        count: a connection is stale if it was opened under a smaller one.
    """

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()

    def record(self, opened_under: int, code: str) -> None:
        """Count the refusal of a connection, unless the connection was stale: then it is known."""
        if opened_under < self.count:
            return
        self.count += 1
        log.warning("connection to a former primary closed", code=code)
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Return at the next fail-over."""
        await self._changed.wait()


class PrimaryConnection(AbstractConnection):
    """Connection that closes itself when its server refuses a command as no primary.

    The refusal is raised as a lost connection, so that redis-py sends the command again: it was not run.
    """

    def __init__(self, *, fail_overs: FailOvers, **options: Any) -> None:
        super().__init__(**options)
        self._fail_overs = fail_overs
        self._opened_under = fail_overs.count

    @property
    def is_stale(self) -> bool:
        """Whether another connection met a fail-over since this one was opened."""
        return self._opened_under != self._fail_overs.count

    async def _connect(self) -> None:
        self._opened_under = self._fail_overs.count
        await super()._connect()  # type: ignore[no-untyped-call, safe-super]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except RedisError as error:
            code = refusal_code(error)
            if not code:
                raise
            self._fail_overs.record(self._opened_under, code)
            await self.disconnect()
            if code in _REPLICA_CODES:
                raise NotPrimaryError(f"{code} {error}") from error
            raise LostConnection(f"{code} {error}") from error


def refusal_code(error: RedisError) -> str:
    """Code of a refusal that says that the server is no primary now, or `""`."""
    for known in (error, error.__context__):  # redis-py's Sentinel connection wraps it
        code = next((code for kind, code in _CODES.items() if isinstance(known, kind)), "")
        if code:
            return code
    found = _CODE_IN_TEXT.search(str(error))
    return found[1] if found else ""


def is_stale(connection: Any) -> bool:
    """Whether a connection is from before a fail-over; False for kinds that cannot tell."""
    return isinstance(connection, PrimaryConnection) and connection.is_stale


class TcpConnection(PrimaryConnection, Connection):
    """Connection by TCP."""


class TlsConnection(PrimaryConnection, SSLConnection):
    """Connection by TLS."""


class UnixConnection(PrimaryConnection, UnixDomainSocketConnection):
    """Connection by a unix socket."""


class SentinelConnection(PrimaryConnection, SentinelManagedConnection):
    """Connection that asks for the primary before each try; redis-py retries the dead primary only."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect()  # type: ignore[no-untyped-call]
        await super().send_packed_command(command, check_health)


class SentinelTlsConnection(SentinelConnection, SentinelManagedSSLConnection):
    """The same over TLS."""


class PrimaryPool(BlockingConnectionPool):
    """Pool whose callers wait for a free connection, and get none that is stale."""

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if is_stale(connection):
            await connection.disconnect()
        await super().ensure_connection(connection)


class SentinelPool(SentinelConnectionPool, PrimaryPool):
    """The same for connections that Sentinels lead."""
