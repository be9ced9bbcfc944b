"""What the core offers an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from bot.conversation import Address, Incoming, SessionKey, Speaker

if TYPE_CHECKING:
    from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """Chat command as adapters render it: in menus, manifests and help.

    Attributes:
        summary: one sentence for the help.
        aliases: further names.
        admin_in_shared: where several people talk, only admins may use it.
        usage: arguments, as in `[json]`.
    """

    name: str
    summary: str
    aliases: tuple[str, ...] = ()
    admin_in_shared: bool = False
    usage: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Name and aliases."""
        return (self.name, *self.aliases)


class Vault(Protocol):
    """Small secrets in Redis, encrypted with `BOT_ENCRYPTION_KEY`. Every call raises StoreError."""

    async def get(self, name: str) -> bytes | None: ...

    async def set(self, name: str, value: bytes, *, ttl_s: float | None = None) -> None:
        """Keep `value`; raises SettingsError without an encryption key."""
        ...

    async def delete(self, name: str) -> None: ...

    async def names(self, prefix: str) -> tuple[str, ...]:
        """All names that begin so."""
        ...


class KeyValueStore(Protocol):
    """Small facts that an adapter needs again, perhaps in another process. Every call raises StoreError."""

    async def get(self, name: str) -> str:
        """The note; `""` if there is none."""
        ...

    async def set(self, name: str, value: str, *, ttl_s: float) -> None: ...

    async def delete(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A conversation at a glance; `used_at` in UTC."""

    session: SessionKey
    turns: int
    used_at: datetime


Admission = Literal["queued", "merged", "duplicate", "full", "refused"]
"""`full`: too much waits there already; the person was told. `refused`: the speaker is not let in."""


class Core(Protocol):
    """What the core offers an adapter. Every call is safe to repeat."""

    @property
    def settings(self) -> Settings: ...

    @property
    def vault(self) -> Vault: ...

    @property
    def key_values(self) -> KeyValueStore: ...

    async def enqueue(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        """Take `incoming` in, durably. Acknowledge the platform only after this returned.

        `dedupe` holds further ids of the same logical message (`channel:ts`). With `hold_s`, more
        of the same is expected (the next picture of an album, the rest of a long paste): the
        conversation's next turn begins no sooner than so many seconds from now. A later `put`
        replaces the wait by its own; what came together becomes one turn.

        Raises:
            StoreError: not taken in; do not acknowledge, so that the platform sends it again.
        """
        ...

    async def stop(self, session: SessionKey, speaker: Speaker) -> bool:
        """Cancel the running turn, wherever it runs. False: nothing ran."""
        ...

    async def takes_part(self, session: SessionKey) -> bool:
        """Whether the bot has spoken in this conversation, and was not sent away."""
        ...

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        """Ask the one authorizer. `action`: `talk` or a command's name."""
        ...

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        """The platform gave a place a new id: what is remembered and waiting under `old` is `new`'s now.

        What `new` already has comes after it. Raises StoreError.
        """
        ...

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        """Where this person lately talked with the bot, the latest first; at most 20."""
        ...

    async def totals(self, platform: str, account: str) -> tuple[int, int]:
        """How many conversations are remembered there, and turns in them."""
        ...

    def commands(self) -> tuple[CommandSpec, ...]:
        """All chat commands, for menus and help."""
        ...
