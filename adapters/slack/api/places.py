"""Place directory: names of channels and user groups, cached.

https://docs.slack.dev/reference/methods/conversations.info and
https://docs.slack.dev/reference/methods/usergroups.list
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING

import structlog

from adapters.slack.api.errors import slack_errors
from adapters.slack.api.payload import get_object, get_objects, get_text
from bot.background import cancel_all
from bot.cache import TTLCache
from bot.errors import KeepthreadError

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspaces

log = structlog.get_logger("keepthread.slack")

_CACHE_TTL_S = 3600.0
_MAX_CACHED = 20_000
_MAX_LOOKUPS = 10
"""Names looked up for one message; the others keep their ids."""


class PlaceDirectory:
    """Names by id: of channels (C…, G…) and user groups (S…). A failed lookup is not repeated for an hour."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._names: TTLCache[tuple[str, str], str] = TTLCache(_MAX_CACHED, _CACHE_TTL_S)
        self._lookups: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def names(self, team: str, ids: Iterable[str], *, wait_s: float) -> dict[str, str]:
        """Names by id, of those that Slack tells within `wait_s`. Raises nothing."""
        wanted = list(dict.fromkeys(filter(None, ids)))[:_MAX_LOOKUPS]
        unknown = [id_ for id_ in wanted if (team, id_) not in self._names]
        if unknown:
            lookups = {self._start_lookup(team, id_) for id_ in unknown}
            await asyncio.wait(lookups, timeout=max(0.0, wait_s))
        return {id_: name for id_ in wanted if (name := self._names.get((team, id_), ""))}

    async def aclose(self) -> None:
        await cancel_all(tuple(self._lookups.values()))

    def _start_lookup(self, team: str, id_: str) -> asyncio.Task[None]:
        """The lookup in flight, or a new one. One call names all groups of a workspace."""
        is_group = id_.startswith("S")
        key = (team, "" if is_group else id_)
        if key not in self._lookups:
            work = self._fetch_groups(team) if is_group else self._fetch_channel(team, id_)
            task = asyncio.create_task(self._cache(team, id_, work), name=f"name of {id_}")
            self._lookups[key] = task
            task.add_done_callback(lambda _: self._lookups.pop(key, None))
        return self._lookups[key]

    async def _cache(self, team: str, id_: str, work: Awaitable[dict[str, str]]) -> None:
        try:
            found = await work
        except KeepthreadError as error:
            log.info("name of a place unknown", id=id_, error=repr(error))
            found = {}
        for known, name in {id_: "", **found}.items():
            self._names[team, known] = name

    async def _fetch_channel(self, team: str, channel: str) -> dict[str, str]:
        client = await self._workspaces.client(team)
        with slack_errors("conversations.info"):
            response = await client.conversations_info(channel=channel)
        return {channel: get_text(get_object(response.data, "channel"), "name")}  # type: ignore[arg-type]  # bytes only for files

    async def _fetch_groups(self, team: str) -> dict[str, str]:
        client = await self._workspaces.client(team)
        with slack_errors("usergroups.list"):
            response = await client.usergroups_list()
        groups = get_objects(response.data, "usergroups")  # type: ignore[arg-type]  # as above
        return {get_text(group, "id"): get_text(group, "handle") for group in groups}
