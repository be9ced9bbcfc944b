"""Authorizer: asked for every message, command, button and edit, and again when a turn starts.

Patterns are `platform:target`, of stable ids only:

    slack:T1         everybody of workspace T1           telegram:42        the person 42, in private
    slack:T1/U1      that person                         telegram:-100123   the group, for whoever is in it
    slack:T1/C1      everybody in that channel           telegram:*         everybody

People of the bot's own workspace are in without being listed, unless a pattern narrows that workspace down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import structlog

from bot.cache import TTLCache
from bot.conversation import Address, Speaker
from bot.errors import PlatformError
from bot.ports import AdminCheck

log = structlog.get_logger("keepthread.access")

_PersonInPlace = tuple[str, str, str, str]
"""Platform, account, place, and id of the person."""


@dataclass(slots=True)
class Authorizer:
    """Rights of a person in a place, by the settings and by the platform's own admins.

    Attributes:
        allow, admins: patterns from `BOT_ALLOW` and `BOT_ADMINS`.
        platform_admins: whether the platform's own admins are admins (`BOT_PLATFORM_ADMINS`).
        admin_checks: by platform, what tells its admins; none if the platform has no admins.
        admin_actions: commands that only admins may use where several people talk.
        local_platforms: platforms of this machine: whoever has a shell here already has the data.
        admin_cache_s: lifetime of an answer of `admin_checks`.
        max_cached: answers kept at once.
    """

    allow: Collection[str] = ()
    admins: Collection[str] = ()
    platform_admins: bool = True
    admin_checks: Mapping[str, AdminCheck] = field(default_factory=dict)
    admin_actions: Collection[str] = ()
    local_platforms: Collection[str] = ()
    admin_cache_s: float = 60.0
    max_cached: int = 10_000
    _known: TTLCache[_PersonInPlace, bool] = field(init=False)

    def __post_init__(self) -> None:
        self._known = TTLCache(self.max_cached, self.admin_cache_s)

    def ask_platform(self, platform: str, check: AdminCheck) -> None:
        """Ask `check` for the admins of `platform` from now on."""
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
        is_member = bool(speaker.account) and speaker.account == session.account
        is_narrowed = any(target.startswith(f"{session.account}/") for target in listed)
        return is_member and not is_narrowed

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        """Whether `speaker` is listed, or is the platform's own admin there; no, if it cannot be asked."""
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
            return False  # perhaps an admin of another workspace, not of this one
        key = (session.platform, session.account, session.place, speaker.id)
        known = self._known.get(key)
        if known is not None:
            return known
        try:
            known = await check(address, speaker)
        except PlatformError as error:
            log.warning("admin rights unknown", error=repr(error))
            return False
        self._known[key] = known
        return known


def _targets(patterns: Collection[str], platform: str) -> set[str]:
    """What the patterns of a platform name, without its name."""
    prefix = f"{platform}:"
    return {pattern.removeprefix(prefix) for pattern in patterns if pattern.startswith(prefix)}


def _names(address: Address, speaker: Speaker) -> set[str]:
    """All targets that a pattern may name this person in this place by."""
    session = address.session
    names = {"*", f"{session.account}/{session.place}"}
    if speaker.account:
        names |= {speaker.account, f"{speaker.account}/{speaker.id}"}
    else:
        names.add(session.place if address.shared else speaker.id)
        if (
            session.thread
        ):  # a private talk within a place of many, such as a channel's direct messages
            names.add(session.place)
    return names
