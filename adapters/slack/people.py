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

from adapters.slack.failures import slack_errors
from bot.conversation import Speaker
from bot.errors import KeepthreadError

if TYPE_CHECKING:
    from adapters.slack.teams import Teams

log = structlog.get_logger("keepthread.slack")

REMEMBERED_S = 3600.0
_UNKNOWN_S = 60.0  # who could not be asked for is asked for again after this
_MAX_REMEMBERED = 20_000
_MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in Slack. `teams`: the workspaces this person belongs to, home first."""

    id: str
    name: str = ""
    teams: tuple[str, ...] = ()
    is_admin: bool = False
    is_bot: bool = False

    def account(self, team: str) -> str:
        """The workspace to count this person to, seen from `team`; `""` if unknown."""
        if team in self.teams:
            return team
        return self.teams[0] if self.teams else ""


class People:
    """Asks Slack about people, once an hour for each, many who wait for the same person together."""

    def __init__(self, teams: Teams) -> None:
        self._teams = teams
        self._known: dict[tuple[str, str], tuple[float, Person]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[Person]] = {}

    async def speaker(
        self, team: str, user: str, *, claimed_team: str = "", external: bool = False, wait_s: float
    ) -> Speaker:
        """The speaker of an event.

        Where people from elsewhere may be, only Slack's own answer or the event itself says whose somebody
        is; without either they belong to nobody, so that nothing lets them in by mistake.
        """
        person = (await self.known(team, (user,), wait_s=wait_s)).get(user)
        if person is not None and person.teams:
            account = person.account(team)
        else:
            account = claimed_team or ("" if external else team)
        return Speaker(user, person.name if person else "", account)

    async def names(self, team: str, users: Iterable[str], *, wait_s: float) -> dict[str, str]:
        """Names by id, of those that could be learned in time."""
        known = await self.known(team, users, wait_s=wait_s)
        return {user: person.name for user, person in known.items() if person.name}

    async def known(self, team: str, users: Iterable[str], *, wait_s: float) -> dict[str, Person]:
        """People by id, as far as Slack tells within `wait_s`. Raises nothing."""
        wanted = tuple(dict.fromkeys(user for user in users if user))
        tasks = {user: self._ask(team, user) for user in wanted}
        open_tasks = [task for task in tasks.values() if isinstance(task, asyncio.Task)]
        if open_tasks:
            # The tasks go on: their answers serve the next message.
            await asyncio.wait(open_tasks, timeout=wait_s)
        found: dict[str, Person] = {}
        for user, task in tasks.items():
            if isinstance(task, Person):
                found[user] = task
            elif task.done() and not task.cancelled():
                found[user] = task.result()
        return found

    async def is_admin(self, team: str, user: str) -> bool:
        """Whether Slack calls them admin or owner of `team`, asked now. Raises PlatformError, StoreError."""
        person = await self._fetch(team, user)
        return person.is_admin and person.account(team) == team

    async def aclose(self) -> None:
        tasks = tuple(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ask(self, team: str, user: str) -> asyncio.Task[Person] | Person:
        key = (team, user)
        until, person = self._known.get(key, (0.0, Person(user)))
        if until > time.monotonic():
            return person
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._learn(team, user), name=f"users.info {user}")
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return task

    async def _learn(self, team: str, user: str) -> Person:
        try:
            return await self._fetch(team, user)
        except KeepthreadError as error:
            log.warning("a person's name is unknown", user=user, error=repr(error))
            self._keep((team, user), Person(user), _UNKNOWN_S)
            return Person(user)

    async def _fetch(self, team: str, user: str) -> Person:
        client = await self._teams.client(team)
        with slack_errors("users.info"):
            answer = await client.users_info(user=user)
        person = person_of(answer["user"])
        self._keep((team, user), person, REMEMBERED_S)
        return person

    def _keep(self, key: tuple[str, str], person: Person, for_s: float) -> None:
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = (time.monotonic() + for_s, person)


def person_of(user: dict[str, object]) -> Person:
    """A user object (https://docs.slack.dev/reference/objects/user-object) as a Person."""
    profile = user.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    grid = user.get("enterprise_user")
    grid_teams = grid.get("teams") if isinstance(grid, dict) else ()
    name = profile.get("display_name") or profile.get("real_name") or user.get("real_name")
    teams = (user.get("team_id"), *(grid_teams or ()))
    return Person(
        id=str(user.get("id") or ""),
        name=" ".join(str(name or user.get("name") or "").split())[:_MAX_NAME],
        teams=tuple(dict.fromkeys(str(team) for team in teams if team)),
        is_admin=any(user.get(key) for key in ("is_admin", "is_owner", "is_primary_owner")),
        is_bot=bool(user.get("is_bot")),
    )
