"""Translation of redis-py's exceptions to StoreError: one table, which tests/bot/storage/test_errors.py proves complete."""

from __future__ import annotations

import re
import ssl
from typing import Final

from redis import exceptions as redis_errors

from bot.errors import StoreError, StoreFull, StoreReadOnly, StoreRefused, StoreUnavailable

MAX_CAUSES = 8


class NotPrimaryError(redis_errors.ConnectionError):
    """Refusal of a server that is a replica now: what was sent was not run, and its connection is closed."""


PASSWORD_CURE = "Correct user and password in REDIS_URL."  # noqa: S105  advice
PRIMARY_CURE = "Point REDIS_URL at the primary, not at a replica."
REACH_CURE = "See that the server in REDIS_URL runs and can be reached from here."
RIGHTS_CURE = "Give the user in REDIS_URL the commands and keys it needs (ACL SETUSER): `keepthread doctor` lists them."
TLS_CURE = "Write rediss:// in REDIS_URL: the server's port speaks TLS."
MAYBE_TLS_CURE = f"{REACH_CURE} If its port speaks TLS, write rediss:// in REDIS_URL."
ROOM_CURE = "Give the server more memory (maxmemory) or disk, or lower BOT_HISTORY_TTL_DAYS."
SERVER_KIND_CURE = (
    "REDIS_URL needs Redis 6.2 or newer, or Valkey; a cluster is written redis+cluster://."
)
CERTIFICATE_CURE = (
    "Add ?ssl_ca_certs=/path/to/ca.pem to REDIS_URL, or correct the server's certificate."
)

TABLE: Final[dict[type[Exception], tuple[type[StoreError], str]]] = {
    redis_errors.RedisError: (StoreError, ""),
    # Not available now.
    redis_errors.ConnectionError: (StoreUnavailable, REACH_CURE),
    redis_errors.TimeoutError: (StoreUnavailable, REACH_CURE),
    redis_errors.BusyLoadingError: (StoreUnavailable, "It loads its data; wait until it has."),
    redis_errors.MaxConnectionsError: (StoreUnavailable, "Too much at once; run more processes."),
    redis_errors.ReadOnlyError: (StoreReadOnly, PRIMARY_CURE),
    redis_errors.TryAgainError: (
        StoreUnavailable,
        "The cluster is moving keys; wait until it has.",
    ),
    redis_errors.AskError: (StoreUnavailable, "The cluster is moving keys; wait until it has."),
    redis_errors.MovedError: (StoreRefused, SERVER_KIND_CURE),
    redis_errors.ClusterError: (StoreUnavailable, REACH_CURE),
    redis_errors.ClusterDownError: (StoreUnavailable, REACH_CURE),
    redis_errors.MasterDownError: (StoreReadOnly, PRIMARY_CURE),
    redis_errors.SlotNotCoveredError: (StoreUnavailable, REACH_CURE),
    redis_errors.RedisClusterException: (StoreUnavailable, REACH_CURE),
    # Access refused, or not the kind of server we need.
    redis_errors.AuthenticationError: (StoreRefused, PASSWORD_CURE),
    redis_errors.AuthenticationWrongNumberOfArgsError: (StoreRefused, PASSWORD_CURE),
    redis_errors.AuthorizationError: (StoreRefused, PASSWORD_CURE),
    redis_errors.ExternalAuthProviderError: (StoreRefused, PASSWORD_CURE),
    redis_errors.NoPermissionError: (StoreRefused, RIGHTS_CURE),
    redis_errors.InvalidResponse: (StoreRefused, SERVER_KIND_CURE),
    redis_errors.ModuleError: (StoreRefused, SERVER_KIND_CURE),
    # Full.
    redis_errors.OutOfMemoryError: (StoreFull, ROOM_CURE),
    # A wrong command of ours, or an error without a class of its own.
    redis_errors.ResponseError: (StoreError, ""),
    redis_errors.ClusterCrossSlotError: (StoreError, ""),
    redis_errors.CrossSlotTransactionError: (StoreError, ""),
    redis_errors.DataError: (StoreError, ""),
    redis_errors.ExecAbortError: (StoreError, ""),
    redis_errors.IncorrectPolicyType: (StoreError, ""),
    redis_errors.InvalidPipelineStack: (StoreError, ""),
    redis_errors.LockError: (StoreError, ""),
    redis_errors.LockNotOwnedError: (StoreError, ""),
    redis_errors.NoScriptError: (StoreError, ""),
    redis_errors.NoSuchFieldsetError: (StoreError, ""),
    redis_errors.PubSubError: (StoreError, ""),
    redis_errors.WatchError: (StoreError, ""),
    redis_errors.ChildDeadlockedError: (StoreError, ""),
}
"""By class; for a class that is not in it, its nearest ancestor counts."""

CODES: Final[dict[str, tuple[type[StoreError], str]]] = {
    "BUSY": (StoreUnavailable, "Another client's script blocks the server."),
    "CLUSTERDOWN": (StoreUnavailable, REACH_CURE),
    "MISCONF": (StoreFull, "The server cannot write to its disk: free space there."),
    "NOREPLICAS": (StoreUnavailable, "Too few replicas (min-replicas-to-write)."),
    "UNKILLABLE": (StoreUnavailable, "Another client's script blocks the server."),
}
"""Error replies without a class in redis-py, by the code that is their first word."""

_TLS_ALERT = r"\x15\x03"
"""Begin of a TLS alert (RFC 8446, 5.1), as redis-py quotes a reply that is none."""
_NO_COMMAND = re.compile(r"no permissions to run the '([^']+)' command", re.IGNORECASE)
_NO_KEY_OR_CHANNEL = re.compile(
    r"(?:no permissions to access|can't access at least one of the) .*?\b(key|channel)",
    re.IGNORECASE,
)
_NO_RIGHT_IN_SCRIPT = "The user executing the script can't"
"""Begin of a refusal inside a script, before Redis 7.2."""

ROOT_ERRORS = (
    redis_errors.RedisError,
    redis_errors.RedisClusterException,
    redis_errors.IncorrectPolicyType,
    redis_errors.ChildDeadlockedError,
)


def translate_error(error: BaseException) -> StoreError:
    """The StoreError for an exception of redis-py. Its detail has no password: redis-py puts none in."""
    kind, cure = next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)
    if isinstance(error, NotPrimaryError):
        kind, cure = StoreReadOnly, PRIMARY_CURE
    text = str(error)
    if isinstance(error, redis_errors.ResponseError):
        kind, cure = CODES.get(text.partition(" ")[0], (kind, cure))
        if text.startswith("unknown command"):
            kind, cure = StoreRefused, SERVER_KIND_CURE
        if rule := missing_right(error):
            kind, cure = StoreRefused, f"The right {rule} is missing. {RIGHTS_CURE}"
        elif _NO_RIGHT_IN_SCRIPT in text:
            kind, cure = StoreRefused, RIGHTS_CURE
    if isinstance(error, redis_errors.RedisClusterException) and "mode is not enabled" in text:
        kind, cure = StoreRefused, "Write redis:// in REDIS_URL: the server is no cluster."
    if _TLS_ALERT in text:
        kind, cure = StoreRefused, TLS_CURE
    elif cure == REACH_CURE and "closed by server" in text:
        cure = MAYBE_TLS_CURE
    if _has_certificate_cause(error):
        kind, cure = StoreRefused, CERTIFICATE_CURE
    return kind(f"{type(error).__name__}: {text}", cure=cure)


def missing_right(error: Exception) -> str:
    """The rule of an ACL that a refusal asks for, such as `+time`; `~` for a key, `&` for a channel; else `""`."""
    text = str(error)
    if command := _NO_COMMAND.search(text):
        return f"+{command[1].lower()}"
    if place := _NO_KEY_OR_CHANNEL.search(text):
        return {"key": "~", "channel": "&"}[place[1].lower()]
    return ""


class _StoreErrors:
    """Context manager of `store_errors`: as a class it costs a third of a generator's, around every call."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ROOT_ERRORS):
            raise translate_error(error) from error


_STORE_ERRORS = _StoreErrors()


def store_errors() -> _StoreErrors:
    """`with store_errors():` around calls of redis-py raises StoreError in place of its exceptions."""
    return _STORE_ERRORS


def _has_certificate_cause(error: BaseException | None) -> bool:
    for _ in range(MAX_CAUSES):
        if error is None:
            return False
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
