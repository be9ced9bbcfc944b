"""User directory: names, home workspaces and admin rights of people, from `users.info`, cached.

https://docs.slack.dev/reference/methods/users.info (Tier 4, 100 a minute)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from adapters.slack.api.errors import slack_errors
from adapters.slack.api.payload import Json, get_object, get_text
from bot.background import cancel_all
from bot.cache import TTLCache
from bot.conversation import Speaker
from bot.errors import KeepthreadError

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspaces

log = structlog.get_logger("keepthread.slack")

_CACHE_TTL_S = 3600.0
_FAILURE_TTL_S = 60.0
_MAX_CACHED = 20_000
_MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class SlackUser:
    """A user object of Slack. `workspaces`: those this person belongs to, home first."""

    id: str
    name: str = ""
    workspaces: tuple[str, ...] = ()
    is_admin: bool = False
    is_bot: bool = False

    def account(self, team: str) -> str:
        """The workspace this person counts as a member of, seen from `team`; "" if unknown."""
        if team in self.workspaces:
            return team
        return self.workspaces[0] if self.workspaces else ""


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A `users.info` call in flight, which all who need the same person share."""

    began_at: float
    task: asyncio.Task[SlackUser]


class UserDirectory:
    """Users by workspace and id. Each is looked up at most once an hour, a failed one once a minute."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._cache: TTLCache[tuple[str, str], SlackUser] = TTLCache(_MAX_CACHED, _CACHE_TTL_S)
        self._failures: TTLCache[tuple[str, str], SlackUser] = TTLCache(_MAX_CACHED, _FAILURE_TTL_S)
        self._lookups: dict[tuple[str, str], _Lookup] = {}

    async def speaker(
        self, team: str, user: str, *, claimed_team: str = "", external: bool = False, wait_s: float
    ) -> Speaker:
        """The speaker of an event.

        Where people of other workspaces may be (`external`), only Slack's own answer or the event itself says
        to which workspace a person belongs; without either it is none, so that nothing admits them by mistake.
        """
        found = (await self.lookup(team, (user,), wait_s=wait_s)).get(user)
        if found is not None and found.workspaces:
            account = found.account(team)
        else:
            account = claimed_team or ("" if external else team)
        return Speaker(user, found.name if found else "", account)

    async def names(self, team: str, users: Iterable[str], *, wait_s: float) -> dict[str, str]:
        """Names by id, of those that were found in time."""
        found = await self.lookup(team, users, wait_s=wait_s)
        return {id_: user.name for id_, user in found.items() if user.name}

    async def lookup(
        self, team: str, users: Iterable[str], *, wait_s: float
    ) -> dict[str, SlackUser]:
        """Users by id, as far as Slack answers within `wait_s` of the lookup's begin. Raises nothing."""
        found: dict[str, SlackUser] = {}
        lookups: dict[str, _Lookup] = {}
        for id_ in dict.fromkeys(filter(None, users)):
            user = self._cache.get((team, id_)) or self._failures.get((team, id_))
            if user is not None:
                found[id_] = user
            else:
                lookups[id_] = self._start_lookup(team, id_)
        if lookups:
            # Whoever joins a lookup later does not wait as long again. It goes on after `wait_s`: its
            # result serves the next message.
            began_at = max(lookup.began_at for lookup in lookups.values())
            timeout_s = max(0.0, began_at + wait_s - time.monotonic())
            await asyncio.wait([lookup.task for lookup in lookups.values()], timeout=timeout_s)
        for id_, lookup in lookups.items():
            if lookup.task.done() and not lookup.task.cancelled():
                found[id_] = lookup.task.result()
        return found

    async def is_admin(self, team: str, user: str) -> bool:
        """Whether a person is admin or owner of `team`, asked now. Raises PlatformError, StoreError."""
        found = await self._fetch(team, user)
        return found.is_admin and found.account(team) == team

    async def aclose(self) -> None:
        await cancel_all([lookup.task for lookup in self._lookups.values()])

    def _start_lookup(self, team: str, user: str) -> _Lookup:
        """The lookup in flight, or a new one."""
        key = (team, user)
        if key not in self._lookups:
            task = asyncio.create_task(self._fetch_or_log(team, user), name=f"users.info {user}")
            self._lookups[key] = _Lookup(time.monotonic(), task)
            task.add_done_callback(lambda _: self._lookups.pop(key, None))
        return self._lookups[key]

    async def _fetch_or_log(self, team: str, user: str) -> SlackUser:
        try:
            return await self._fetch(team, user)
        except KeepthreadError as error:
            log.warning("user lookup failed", user=user, error=repr(error))
            unknown = self._failures[team, user] = SlackUser(user)
            return unknown

    async def _fetch(self, team: str, user: str) -> SlackUser:
        client = await self._workspaces.client(team)
        with slack_errors("users.info"):
            response = await client.users_info(user=user)
        found = response.get("user")
        fetched = self._cache[team, user] = user_of_json(found) if found else SlackUser(user)
        return fetched


def user_of_json(user: Json) -> SlackUser:
    """A SlackUser from a user object (https://docs.slack.dev/reference/objects/user-object)."""
    profile, grid = get_object(user, "profile"), get_object(user, "enterprise_user")
    name = (
        get_text(profile, "display_name")
        or get_text(profile, "real_name")
        or get_text(user, "real_name")
    )
    workspaces = (user.get("team_id"), *(grid.get("teams") or ()))
    return SlackUser(
        id=get_text(user, "id"),
        name=" ".join((name or get_text(user, "name")).split())[:_MAX_NAME_CHARS],
        workspaces=tuple(dict.fromkeys(str(team) for team in workspaces if team)),
        is_bot=bool(user.get("is_bot")),
        is_admin=any(user.get(key) for key in ("is_admin", "is_owner", "is_primary_owner")),
    )
