"""Core port: the calls an adapter makes into the core."""

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
    """Secrets in Redis, encrypted with `BOT_ENCRYPTION_KEY`. Every call raises StoreError."""

    async def get(self, name: str) -> bytes | None: ...

    async def set(self, name: str, value: bytes, *, ttl_s: float | None = None) -> None:
        """Store `value`. Raises SettingsError without an encryption key."""
        ...

    async def delete(self, name: str) -> None: ...

    async def names(self, prefix: str) -> tuple[str, ...]:
        """All names that begin with `prefix`."""
        ...


class KeyValueStore(Protocol):
    """Short texts in Redis that an adapter needs again, perhaps in another process. Every call raises StoreError."""

    async def get(self, name: str) -> str:
        """The value; `""` if there is none."""
        ...

    async def set(self, name: str, value: str, *, ttl_s: float) -> None: ...

    async def delete(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """Size and last use of a conversation; `used_at` in UTC."""

    session: SessionKey
    turns: int
    used_at: datetime


Admission = Literal["queued", "merged", "duplicate", "full", "refused"]
"""What became of an enqueued message.

`merged`: it joins the turn that waits. `full`: too many messages wait there, and the person was told.
`refused`: the speaker is not admitted.
"""


class Core(Protocol):
    """Core, as adapters call it. Every call is safe to repeat."""

    @property
    def settings(self) -> Settings: ...

    @property
    def vault(self) -> Vault: ...

    @property
    def key_values(self) -> KeyValueStore: ...

    async def enqueue(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        """Store `incoming` durably. Acknowledge the platform only after this returned.

        Args:
            dedupe: further ids of the same message (`channel:ts`).
            hold_s: seconds that the conversation's next turn waits for more of the same (the next
                picture of an album, the rest of a long paste). A later call replaces the wait by its own;
                messages that came together become one turn.

        Raises:
            StoreError: not stored; do not acknowledge, so that the platform sends it again.
        """
        ...

    async def stop(self, session: SessionKey, speaker: Speaker) -> bool:
        """Stop the running turn, in whichever process it runs. False: none ran."""
        ...

    async def takes_part(self, session: SessionKey) -> bool:
        """Whether the bot has answered in this conversation, and was not told to `leave`."""
        ...

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        """Whether `speaker` may do `action` there: `talk`, or a command's name."""
        ...

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        """Move a conversation whose place got a new id: its history, and the messages that wait.

        What `new` already has comes after them. Raises StoreError.
        """
        ...

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        """Conversations a person last took part in, the latest first; at most 20."""
        ...

    async def totals(self, platform: str, account: str) -> tuple[int, int]:
        """Number of conversations of an account, and of turns in them."""
        ...

    def commands(self) -> tuple[CommandSpec, ...]:
        """All chat commands, for menus and help."""
        ...
