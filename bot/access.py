"""The one authorizer: asked for every message, command, button and edit, and again when a turn starts.

Patterns are `platform:target`, of stable ids only:

    slack:T1         everybody of workspace T1           telegram:42        the person 42, in private
    slack:T1/U1      that person                         telegram:-100123   the group, for whoever is in it
    slack:T1/C1      everybody in that channel           telegram:*         everybody

People of the bot's own workspace are in without being listed, unless a pattern narrows that workspace down.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import structlog

from bot.conversation import Address, Speaker
from bot.errors import PlatformError
from bot.ports import AdminCheck

log = structlog.get_logger("keepthread.access")


@dataclass(slots=True)
class Authorizer:
    """Decides from settings, and from what the platforms say of their admins.

    Attributes:
        allow, admins: patterns from `BOT_ALLOW` and `BOT_ADMINS`.
        admin_checks: by platform: who is an admin there; none if the platform knows no admins.
        local_platforms: platforms of this machine: whoever has a shell here already has the data.
        admin_actions: commands that only admins may use where several people talk.
        admin_cache_s: how long an answer of `admin_checks` is valid.
        max_cached: most answers that are kept.
    """

    allow: Collection[str] = ()
    admins: Collection[str] = ()
    platform_admins: bool = True
    admin_checks: Mapping[str, AdminCheck] = field(default_factory=dict)
    admin_actions: Collection[str] = ()
    local_platforms: Collection[str] = ()
    admin_cache_s: float = 60.0
    max_cached: int = 10_000
    _cache: dict[tuple[str, str, str, str], tuple[float, bool]] = field(default_factory=dict)

    def ask_platform(self, platform: str, check: AdminCheck) -> None:
        """Ask `check` who is an admin on `platform`, from now on."""
        self.admin_checks = {**self.admin_checks, platform: check}

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        """Whether `speaker` may do `action` (`talk`, or a command's name) there."""
        if not self.admitted(address, speaker):
            return False
        if action in self.admin_actions and address.shared:
            return await self.is_admin(address, speaker)
        return True

    def admitted(self, address: Address, speaker: Speaker) -> bool:
        """Whether `speaker` may talk there at all."""
        session = address.session
        if session.platform in self.local_platforms:
            return True
        listed = _targets(self.allow, session.platform)
        if listed & _names(address, speaker):
            return True
        at_home = bool(speaker.account) and speaker.account == session.account
        narrowed = any(one.split("/")[0] == session.account and "/" in one for one in listed)
        return at_home and not narrowed

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        """Listed, or the platform's own admin there. When the platform cannot be asked: no."""
        session = address.session
        if session.platform in self.local_platforms:
            return True
        person = {speaker.id, f"{speaker.account}/{speaker.id}"}
        if _targets(self.admins, session.platform) & person:
            return True
        check = self.admin_checks.get(session.platform)
        if not self.platform_admins or check is None:
            return False
        if speaker.account and speaker.account != session.account:
            return False  # an admin at home, where they come from
        key = (session.platform, session.account, session.place, speaker.id)
        until, known = self._cache.get(key, (0.0, False))
        if until > time.monotonic():
            return known
        try:
            known = await check(address, speaker)
        except PlatformError as error:
            log.warning("admin rights unknown, so refused", error=repr(error))
            return False
        if len(self._cache) >= self.max_cached:
            self._cache.clear()
        self._cache[key] = (time.monotonic() + self.admin_cache_s, known)
        return known


def _targets(patterns: Collection[str], platform: str) -> set[str]:
    return {one.partition(":")[2] for one in patterns if one.partition(":")[0] == platform}


def _names(address: Address, speaker: Speaker) -> set[str]:
    """Everything a pattern may call this person in this place."""
    session = address.session
    names = {"*", f"{session.account}/{session.place}"}
    if speaker.account:
        names |= {speaker.account, f"{speaker.account}/{speaker.id}"}
    else:
        names.add(session.place if address.shared else speaker.id)
    return names
