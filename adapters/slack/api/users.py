"""Who people are: names, home workspaces and admin rights, from `users.info`, remembered for a while.

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
from bot.conversation import Speaker
from bot.errors import KeepthreadError

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspaces

log = structlog.get_logger("keepthread.slack")

CACHE_TTL_S = 3600.0
_UNKNOWN_TTL_S = 60.0  # who could not be asked for is asked for again after this
_MAX_CACHED = 20_000
_MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class SlackUser:
    """Somebody in Slack. `teams`: the workspaces this person belongs to, home first."""

    id: str
    name: str = ""
    workspaces: tuple[str, ...] = ()
    is_admin: bool = False

    def account(self, team: str) -> str:
        """The workspace to count this person to, seen from `team`; `""` if unknown."""
        if team in self.workspaces:
            return team
        return self.workspaces[0] if self.workspaces else ""


class UserDirectory:
    """Asks Slack about people, once an hour for each, many who wait for the same person together."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._known: dict[tuple[str, str], tuple[float, SlackUser]] = {}
        self._asking: dict[tuple[str, str], tuple[float, asyncio.Task[SlackUser]]] = {}

    async def speaker(
        self, team: str, user: str, *, claimed_team: str = "", external: bool = False, wait_s: float
    ) -> Speaker:
        """The speaker of an event.

        Where people from elsewhere may be, only Slack's own answer or the event itself says whose somebody
        is; without either they belong to nobody, so that nothing lets them in by mistake.
        """
        person = (await self.known(team, (user,), wait_s=wait_s)).get(user)
        if person is not None and person.workspaces:
            account = person.account(team)
        else:
            account = claimed_team or ("" if external else team)
        return Speaker(user, person.name if person else "", account)

    async def names(self, team: str, users: Iterable[str], *, wait_s: float) -> dict[str, str]:
        """Names by id, of those that could be learned in time."""
        known = await self.known(team, users, wait_s=wait_s)
        return {user: person.name for user, person in known.items() if person.name}

    async def known(
        self, team: str, users: Iterable[str], *, wait_s: float
    ) -> dict[str, SlackUser]:
        """People by id, as far as Slack tells within `wait_s` of being asked. Raises nothing."""
        wanted = tuple(dict.fromkeys(user for user in users if user))
        asked = {user: self._ask(team, user) for user in wanted}
        open_tasks = [one[1] for one in asked.values() if not isinstance(one, SlackUser)]
        if open_tasks:
            # Who asks later for the same person does not wait as long again. The tasks go on: their
            # answers serve the next message.
            began = max(one[0] for one in asked.values() if not isinstance(one, SlackUser))
            left_s = max(0.0, began + wait_s - time.monotonic())
            await asyncio.wait(open_tasks, timeout=left_s)
        found: dict[str, SlackUser] = {}
        for user, one in asked.items():
            if isinstance(one, SlackUser):
                found[user] = one
            elif one[1].done() and not one[1].cancelled():
                found[user] = one[1].result()
        return found

    async def is_admin(self, team: str, user: str) -> bool:
        """Whether Slack calls them admin or owner of `team`, asked now. Raises PlatformError, StoreError."""
        person = await self._fetch(team, user)
        return person.is_admin and person.account(team) == team

    async def aclose(self) -> None:
        tasks = tuple(task for _, task in self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ask(self, team: str, user: str) -> tuple[float, asyncio.Task[SlackUser]] | SlackUser:
        """Who it is, or since when Slack is being asked, and the task that does so."""
        key = (team, user)
        until, person = self._known.get(key, (0.0, SlackUser(user)))
        if until > time.monotonic():
            return person
        if key not in self._asking:
            task = asyncio.create_task(self._learn(team, user), name=f"users.info {user}")
            self._asking[key] = time.monotonic(), task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return self._asking[key]

    async def _learn(self, team: str, user: str) -> SlackUser:
        try:
            return await self._fetch(team, user)
        except KeepthreadError as error:
            log.warning("a person's name is unknown", user=user, error=repr(error))
            self._keep((team, user), SlackUser(user), _UNKNOWN_TTL_S)
            return SlackUser(user)

    async def _fetch(self, team: str, user: str) -> SlackUser:
        client = await self._workspaces.client(team)
        with slack_errors("users.info"):
            answer = await client.users_info(user=user)
        user_object = answer.get("user")
        person = user_of_json(user_object) if user_object else SlackUser(user)
        self._keep((team, user), person, CACHE_TTL_S)
        return person

    def _keep(self, key: tuple[str, str], person: SlackUser, for_s: float) -> None:
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        self._known[key] = (time.monotonic() + for_s, person)


def user_of_json(user: Json) -> SlackUser:
    """A user object (https://docs.slack.dev/reference/objects/user-object) as a Person."""
    profile, grid = get_object(user, "profile"), get_object(user, "enterprise_user")
    name = (
        get_text(profile, "display_name")
        or get_text(profile, "real_name")
        or get_text(user, "real_name")
    )
    workspaces = (user.get("team_id"), *(grid.get("teams") or ()))
    return SlackUser(
        id=get_text(user, "id"),
        name=" ".join((name or get_text(user, "name")).split())[:_MAX_NAME],
        workspaces=tuple(dict.fromkeys(str(team) for team in workspaces if team)),
        is_admin=any(user.get(key) for key in ("is_admin", "is_owner", "is_primary_owner")),
    )
