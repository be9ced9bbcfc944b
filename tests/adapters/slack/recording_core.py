"""Recording core: keeps the messages that an adapter enqueues. Its access rules are the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.slack.api.users import UserDirectory
from bot.access import Authorizer
from bot.commands import BUILTIN, Registry
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.errors import StoreUnavailable
from bot.ports import Admission, CommandSpec, ConversationSummary
from bot.settings import Settings
from tests.support.key_value_store import InMemoryKeyValueStore


@dataclass
class RecordingCore:
    """See `bot.ports.Core`.

    Attributes:
        known: conversations the bot takes part in.
        conversations: listed for everybody in App Home.
        down: Redis is unreachable.
    """

    settings: Settings
    vault: Any = None
    enqueued: list[Incoming] = field(default_factory=list)
    stopped: list[tuple[SessionKey, Speaker]] = field(default_factory=list)
    known: set[SessionKey] = field(default_factory=set)
    conversations: tuple[ConversationSummary, ...] = ()
    down: bool = False
    key_values: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    _seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.access = Authorizer(
            self.settings.bot_allow,
            self.settings.bot_admins,
            self.settings.bot_platform_admins,
            admin_actions=Registry(BUILTIN).admin_actions,
        )

    def admit_admins_by(self, users: UserDirectory) -> None:
        """Ask Slack who is an admin."""

        async def is_admin(address: Address, speaker: Speaker) -> bool:
            return await users.is_admin(address.session.account, speaker.id)

        self.access.admin_checks = {"slack": is_admin}

    async def enqueue(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        self._require_redis()
        is_deletion = incoming.kind == "delete"
        if not (is_deletion or self.access.admitted(incoming.address, incoming.speaker)):
            return "refused"
        ids = {incoming.event_id, *dedupe} - {""}
        if ids & self._seen:
            return "duplicate"
        self._seen |= ids
        self.enqueued.append(incoming)
        return "queued"

    async def stop(self, session: SessionKey, speaker: Speaker) -> bool:
        self._require_redis()
        self.stopped.append((session, speaker))
        return True

    async def takes_part(self, session: SessionKey) -> bool:
        self._require_redis()
        return session in self.known

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        return await self.access.allowed(address, speaker, action)

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        raise AssertionError("Slack places keep their ids")

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        return self.conversations

    async def totals(self, platform: str, account: str) -> tuple[int, int]:
        return 12, 3456

    def commands(self) -> tuple[CommandSpec, ...]:
        return BUILTIN

    def _require_redis(self) -> None:
        if self.down:
            raise StoreUnavailable("down for this test")
