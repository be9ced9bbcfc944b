"""What a model endpoint takes (parameters, roles, pictures), learned from its errors and kept in Redis.

Endpoints that call themselves OpenAI-compatible differ in them and say so only by refusing. Each trait
is learned once (bot/model/refusals/lessons.py) and kept: in memory, and with a time to live in Redis.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

import structlog

from bot.errors import StoreError
from bot.ports import KeyValueStore

log = structlog.get_logger("keepthread.model")

TokenLimit = Literal["max_completion_tokens", "max_tokens", ""]

TTL_S = 7 * 24 * 3600.0
"""Life of what was learned: servers are updated, and then one request shows it anew."""
REFRESH_S = 600.0
"""Age at which traits in memory are read again: another process may have learned more."""
STORE_TIMEOUT_S = 2.0
"""Longest wait for Redis: an answer needs the traits, but not at any price."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What one model at one endpoint takes. The default is OpenAI's own newest dialect.

    Attributes:
        limit_name: name of the parameter that limits the answer; `""`: it takes none.
        system_role: whether it takes a system message.
        images: whether it takes pictures.
        temperature: whether it takes a sampling temperature.
        stream_options: whether it takes `stream_options`, which ask for the usage.
        tools: whether it takes tools.
        context_tokens: size of its context; 0 if unknown.
    """

    limit_name: TokenLimit = "max_completion_tokens"
    system_role: bool = True
    images: bool = True
    temperature: bool = True
    stream_options: bool = True
    tools: bool = True
    context_tokens: int = 0

    def to_json(self) -> str:
        """The traits that differ from the default."""
        return json.dumps({k: v for k, v in asdict(self).items() if v != getattr(DEFAULT, k)})

    @classmethod
    def from_json(cls, text: str) -> Traits:
        """Traits from `to_json`; what another version wrote differently counts as unknown."""
        try:
            data = json.loads(text)
        except ValueError:
            return DEFAULT
        if not isinstance(data, dict):
            return DEFAULT
        known: dict[str, Any] = {
            field.name: data[field.name]
            for field in fields(cls)
            if type(data.get(field.name)) is type(getattr(DEFAULT, field.name))
        }
        return replace(DEFAULT, **known)


DEFAULT: Final = Traits()


class LearnedTraits:
    """Traits of one endpoint's model, as they were learned; shared between processes through Redis.

    Without a store, or while it is down, they are kept in memory alone. Never raises.
    """

    def __init__(
        self, base_url: str = "", model: str = "", key_values: KeyValueStore | None = None
    ) -> None:
        # Hashed: an address may hold a password.
        address = hashlib.sha256(f"{base_url}\n{model}".encode(errors="replace")).hexdigest()
        self._name = f"model-traits:{address[:32]}"
        self._key_values = key_values
        self._traits = DEFAULT
        self._read_at = float("-inf")

    @property
    def current(self) -> Traits:
        """The traits in memory."""
        return self._traits

    async def read(self) -> Traits:
        """The traits, from Redis where those in memory are old."""
        if self._key_values is None or time.monotonic() - self._read_at < REFRESH_S:
            return self._traits
        self._read_at = (
            time.monotonic()
        )  # also if it fails: a slow Redis must not delay each answer
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                text = await self._key_values.get(self._name)
        except (StoreError, TimeoutError) as error:
            log.warning("model traits not read", error=repr(error))
            return self._traits
        self._traits = Traits.from_json(text)
        return self._traits

    async def learn(self, **changes: Any) -> None:
        """Keep changed traits: fields of `Traits` by name."""
        learned = replace(self._traits, **changes)
        if learned == self._traits:
            return
        self._traits = learned
        log.warning("model traits learned", **changes)
        if self._key_values is None:
            return
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                shared = Traits.from_json(await self._key_values.get(self._name))
                self._traits = replace(shared, **changes)
                self._read_at = time.monotonic()
                await self._key_values.set(self._name, self._traits.to_json(), ttl_s=TTL_S)
        except (StoreError, TimeoutError) as error:
            log.warning("model traits not kept", error=repr(error))

    async def replace(self, traits: Traits) -> None:
        """Keep `traits` in place of what was known, as after a look at each of them."""
        self._traits = traits
        if self._key_values is None:
            return
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                await self._key_values.set(self._name, traits.to_json(), ttl_s=TTL_S)
        except (StoreError, TimeoutError) as error:
            log.warning("model traits not kept", error=repr(error))
