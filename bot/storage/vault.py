"""Encrypted store for small secrets, such as platform tokens: `<prefix>:vault:<name>`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import SecretStr

from bot.errors import SettingsError
from bot.storage.errors import store_errors

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

log = structlog.get_logger("keepthread.vault")

TTL_S = 400 * 24 * 3600
"""Life of a secret since it was last written."""

_SALT = b"keepthread vault 1"


class RedisVault:
    """Vault port on Redis. Fernet: AES-128-CBC and HMAC-SHA256 (github.com/fernet/spec).

    Args:
        key: any long random text, from BOT_ENCRYPTION_KEY.
    """

    def __init__(self, client: Any, prefix: str, key: SecretStr | None) -> None:
        self._client = client
        self._prefix = f"{prefix}:vault:"
        self._key = key
        self._fernet: Fernet | None = None

    async def get(self, name: str) -> bytes | None:
        """The secret; None if there is none, or if it was written with another key."""
        with store_errors():
            value: bytes | None = await self._client.get(self._prefix + name)
        if value is None:
            return None
        from cryptography.fernet import InvalidToken

        try:
            return self._cipher().decrypt(value)
        except InvalidToken:
            log.error(
                "stored secret unreadable: written with another BOT_ENCRYPTION_KEY", name=name
            )
            return None

    async def set(self, name: str, value: bytes, *, ttl_s: float | None = None) -> None:
        sealed = self._cipher().encrypt(value)
        with store_errors():
            await self._client.set(self._prefix + name, sealed, px=int((ttl_s or TTL_S) * 1000))

    async def delete(self, name: str) -> None:
        with store_errors():
            await self._client.unlink(self._prefix + name)

    async def names(self, prefix: str) -> tuple[str, ...]:
        """Names that begin with `prefix`. Scans the keys: for the CLI and for removed installations."""
        quoted = "".join(f"\\{char}" if char in "*?[]\\^" else char for char in prefix)
        start = len(self._prefix)
        with store_errors():
            found = self._client.scan_iter(match=f"{self._prefix}{quoted}*", count=500)
            return tuple(sorted([key.decode()[start:] async for key in found]))

    def _cipher(self) -> Fernet:
        if self._fernet is None:
            if self._key is None:
                raise SettingsError(
                    "BOT_ENCRYPTION_KEY is not set, and tokens are never stored in the clear",
                    cure="Set BOT_ENCRYPTION_KEY to a long random text and keep it.",
                )
            self._fernet = _fernet(self._key.get_secret_value())
        return self._fernet


def _fernet(text: str) -> Fernet:
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    derive: Callable[[bytes], bytes] = Scrypt(salt=_SALT, length=32, n=2**14, r=8, p=1).derive
    return Fernet(base64.urlsafe_b64encode(derive(text.encode())))
