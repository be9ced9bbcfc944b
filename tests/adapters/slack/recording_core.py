"""A core that writes down what an adapter puts in, so that tests see exactly that. The rights are the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.access import Authorizer
from bot.commands import BUILTIN, Registry
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.errors import StoreUnavailable
from bot.ports import Admission, CommandSpec, ConversationSummary
from bot.settings import Settings


@dataclass
class RecordingCore:
    """The `Core` port. `known` are conversations the bot takes part in; `down`: Redis is."""

    settings: Settings
    vault: Any = None
    enqueued: list[Incoming] = field(default_factory=list)
    stopped: list[tuple[SessionKey, Speaker]] = field(default_factory=list)
    known: set[SessionKey] = field(default_factory=set)
    own: tuple[ConversationSummary, ...] = ()
    down: bool = False
    _seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.access = Authorizer(
            self.settings.bot_allow,
            self.settings.bot_admins,
            self.settings.bot_platform_admins,
            admin_actions=Registry(BUILTIN).admin_actions,
        )

    async def enqueue(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        self._need_redis()
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
        self._need_redis()
        self.stopped.append((session, speaker))
        return True

    async def takes_part(self, session: SessionKey) -> bool:
        self._need_redis()
        return session in self.known

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        return await self.access.allowed(address, speaker, action)

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        raise AssertionError("Slack places keep their ids")

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        return self.own

    async def totals(self, platform: str, account: str) -> tuple[int, int]:
        return 12, 3456

    def commands(self) -> tuple[CommandSpec, ...]:
        return BUILTIN

    def _need_redis(self) -> None:
        if self.down:
            raise StoreUnavailable("down, as the test wants it")
