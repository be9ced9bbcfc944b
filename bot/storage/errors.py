"""What redis-py raises, in our words: one table. tests/bot/storage/test_errors.py proves it complete."""

from __future__ import annotations

import ssl
from typing import Final

from redis import exceptions as theirs

from bot.errors import StoreError, StoreFull, StoreRefused, StoreUnavailable

NEW_PASSWORD = "Correct user and password in REDIS_URL."  # noqa: S105  advice
REACH = "See that the server in REDIS_URL runs and can be reached from here."
RIGHTS = "Give the user in REDIS_URL the commands and keys it needs (ACL SETUSER)."
ROOM = "Give the server more memory (maxmemory) or disk, or lower BOT_HISTORY_TTL_DAYS."
SERVER_KIND = (
    "REDIS_URL needs Redis 6.2 or newer, or Valkey; a cluster is written redis+cluster://."
)
CERTIFICATE = "Add ?ssl_ca_certs=/path/to/ca.pem to REDIS_URL, or correct the server's certificate."

TABLE: Final[dict[type[Exception], tuple[type[StoreError], str]]] = {
    theirs.RedisError: (StoreError, ""),
    # There is no way through, now.
    theirs.ConnectionError: (StoreUnavailable, REACH),
    theirs.TimeoutError: (StoreUnavailable, REACH),
    theirs.BusyLoadingError: (StoreUnavailable, "It loads its data; wait until it has."),
    theirs.MaxConnectionsError: (StoreUnavailable, "Too much at once; run more processes."),
    theirs.ReadOnlyError: (StoreUnavailable, "Point REDIS_URL at the primary, not at a replica."),
    theirs.TryAgainError: (StoreUnavailable, "The cluster is moving keys; wait until it has."),
    theirs.AskError: (StoreUnavailable, "The cluster is moving keys; wait until it has."),
    theirs.MovedError: (StoreRefused, SERVER_KIND),
    theirs.ClusterError: (StoreUnavailable, REACH),
    theirs.ClusterDownError: (StoreUnavailable, REACH),
    theirs.MasterDownError: (StoreUnavailable, REACH),
    theirs.SlotNotCoveredError: (StoreUnavailable, REACH),
    theirs.RedisClusterException: (StoreUnavailable, REACH),
    # It does not let us in, or is not what we need.
    theirs.AuthenticationError: (StoreRefused, NEW_PASSWORD),
    theirs.AuthenticationWrongNumberOfArgsError: (StoreRefused, NEW_PASSWORD),
    theirs.AuthorizationError: (StoreRefused, NEW_PASSWORD),
    theirs.ExternalAuthProviderError: (StoreRefused, NEW_PASSWORD),
    theirs.NoPermissionError: (StoreRefused, RIGHTS),
    theirs.InvalidResponse: (StoreRefused, SERVER_KIND),
    theirs.ModuleError: (StoreRefused, SERVER_KIND),
    # It has no room.
    theirs.OutOfMemoryError: (StoreFull, ROOM),
    # We asked something wrong, or the server met something that none of the others names.
    theirs.ResponseError: (StoreError, ""),
    theirs.ClusterCrossSlotError: (StoreError, ""),
    theirs.CrossSlotTransactionError: (StoreError, ""),
    theirs.DataError: (StoreError, ""),
    theirs.ExecAbortError: (StoreError, ""),
    theirs.IncorrectPolicyType: (StoreError, ""),
    theirs.InvalidPipelineStack: (StoreError, ""),
    theirs.LockError: (StoreError, ""),
    theirs.LockNotOwnedError: (StoreError, ""),
    theirs.NoScriptError: (StoreError, ""),
    theirs.NoSuchFieldsetError: (StoreError, ""),
    theirs.PubSubError: (StoreError, ""),
    theirs.WatchError: (StoreError, ""),
    theirs.ChildDeadlockedError: (StoreError, ""),
}
"""By class; of a class that is not in it, its nearest ancestor counts."""

CODES: Final[dict[str, tuple[type[StoreError], str]]] = {
    "BUSY": (StoreUnavailable, "Another client's script blocks the server."),
    "CLUSTERDOWN": (StoreUnavailable, REACH),
    "MISCONF": (StoreFull, "The server cannot write to its disk: free space there."),
    "NOREPLICAS": (StoreUnavailable, "Too few replicas (min-replicas-to-write)."),
    "UNKILLABLE": (StoreUnavailable, "Another client's script blocks the server."),
}
"""Replies that have no class in redis-py, by the error code in their first word."""

ROOTS = (
    theirs.RedisError,
    theirs.RedisClusterException,
    theirs.IncorrectPolicyType,
    theirs.ChildDeadlockedError,
)


def translate(error: BaseException) -> StoreError:
    """`error` of redis-py as one of ours. The detail has no password: redis-py puts none in."""
    kind, cure = next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)
    text = str(error)
    if isinstance(error, theirs.ResponseError):
        kind, cure = CODES.get(text.partition(" ")[0], (kind, cure))
        if text.startswith("unknown command"):
            kind, cure = StoreRefused, SERVER_KIND
    if isinstance(error, theirs.RedisClusterException) and "mode is not enabled" in text:
        kind, cure = StoreRefused, "Write redis:// in REDIS_URL: the server is no cluster."
    if _comes_from_certificate(error):
        kind, cure = StoreRefused, CERTIFICATE
    return kind(f"{type(error).__name__}: {text}", cure=cure)


class _StoreErrors:
    """A class and not a generator: it is around every call, and costs a third so."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ROOTS):
            raise translate(error) from error


_THE_ONE = _StoreErrors()


def store_errors() -> _StoreErrors:
    """`with store_errors():` around calls of redis-py, awaited or not: raises StoreError instead."""
    return _THE_ONE


def _comes_from_certificate(error: BaseException | None) -> bool:
    for _ in range(8):
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error and (error.__cause__ or error.__context__)
    return False
