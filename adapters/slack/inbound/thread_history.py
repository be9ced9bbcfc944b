"""What was said in a thread before the bot was asked in: its beginning, and the newest replies.

`conversations.replies` gives the oldest first. Apps distributed outside the Marketplace may call it once a
minute, for 15 messages (https://docs.slack.dev/changelog/2025/05/29/rate-limit-changes-for-non-marketplace-apps).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog

from adapters.slack.api.attachments import quoted
from adapters.slack.api.errors import slack_errors
from adapters.slack.api.payload import Json, get_object, get_objects, get_text
from adapters.slack.inbound.mrkdwn import decode, mentioned
from bot.conversation import Address, Overheard, Speaker
from bot.errors import PlatformBusy

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

    from adapters.slack.api.users import UserDirectory
    from adapters.slack.api.workspaces import Workspaces

log = structlog.get_logger("keepthread.slack")

WAIT_S = 3.0
"""The answer waits for this; a conversation seeded in part is better than a late one."""

MAX_CHARS = 12_000
"""Of the thread, root included; longer single messages are cut to a third of it."""

_PAGE = 200
_MAX_PAGES = 10
_NAMES_WAIT_S = 0.5

NOT_READ = "[The earlier messages of this thread could not be read in time.]"


class ThreadHistoryFetcher:
    """Reads threads for `bot.ports.Seeds`.

    Args:
        max_chars: see `MAX_CHARS`.
        page: messages that are asked for at a time.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        users: UserDirectory,
        *,
        max_chars: int = MAX_CHARS,
        page: int = _PAGE,
    ) -> None:
        self._workspaces = workspaces
        self._users = users
        self._max_chars = max_chars
        self._page_size = page

    async def seed(self, address: Address, *, wait_s: float = WAIT_S) -> tuple[Overheard, ...]:
        """Earlier messages of the thread, oldest first; what is left out is said by a line of nobody.

        Raises:
            PlatformError: Slack refuses (not when it only limits us).
        """
        until = time.monotonic() + wait_s
        session = address.session
        client = await self._workspaces.client(session.account)
        messages, complete = await self._fetch(client, address, until)
        said = [one for one in messages if _text(one) and one.get("ts") != address.reply_to_id]
        if not said:
            return () if complete else (_gap_note(NOT_READ),)
        kept, left_out = root_and_newest(said, self._max_chars)
        overheard = await self._as_overheard(session.account, kept, until)
        return _with_gap_notes(overheard, left_out, complete)

    async def _fetch(
        self, client: AsyncWebClient, address: Address, until: float
    ) -> tuple[list[Json], bool]:
        """All messages before the one that is answered, as far as time allows, and whether that was all."""
        messages: list[Json] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            try:
                async with asyncio.timeout(max(0.01, until - time.monotonic())):
                    page = await self._page(client, address, cursor)
            except TimeoutError:
                return messages, False
            except PlatformBusy as error:
                wait_s = error.retry_after_s or 1
                log.info("seeding is limited by Slack", retry_after_s=wait_s, read=len(messages))
                if time.monotonic() + wait_s >= until:
                    return messages, False
                await asyncio.sleep(wait_s)
                continue
            known = {one.get("ts") for one in messages}  # each page begins with the root again
            messages += [one for one in get_objects(page, "messages") if one.get("ts") not in known]
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor or not page.get("has_more", True):
                return messages, True
        return messages, False

    async def _page(self, client: AsyncWebClient, address: Address, cursor: str | None) -> Any:
        with slack_errors("conversations.replies"):
            return await client.conversations_replies(
                channel=address.session.place,
                ts=address.session.thread,
                latest=address.reply_to_id or None,
                limit=self._page_size,
                cursor=cursor,
            )

    async def _as_overheard(
        self, team: str, messages: Sequence[Json], until: float
    ) -> list[Overheard]:
        authors = [get_text(one, "user") for one in messages]
        named = [user for one in messages for user in mentioned(_text(one))]
        wait_s = max(_NAMES_WAIT_S, until - time.monotonic())
        names = await self._users.names(team, (*authors, *named), wait_s=wait_s)
        return [
            Overheard(_speaker(one, names), decode(_text(one), names), get_text(one, "ts"))
            for one in messages
        ]


def root_and_newest(messages: Sequence[Json], max_chars: int) -> tuple[list[Json], int]:
    """The root and the newest of `messages` that fit, oldest first, and how many between are left out."""
    message_max = max_chars // 3
    root = _cut(messages[0], message_max)
    room = max_chars - len(_text(root))
    newest: list[Json] = []
    for message in reversed(messages[1:]):
        short = _cut(message, message_max)
        room -= len(_text(short))
        if room < 0:
            break
        newest.append(short)
    return [root, *reversed(newest)], len(messages) - 1 - len(newest)


def _with_gap_notes(
    overheard: Sequence[Overheard], left_out: int, complete: bool
) -> tuple[Overheard, ...]:
    lines = list(overheard)
    if left_out:
        are = "message is" if left_out == 1 else "messages are"
        lines.insert(1, _gap_note(f"[{left_out:,} earlier {are} left out here.]"))
    if not complete:
        lines.append(_gap_note("[The messages that came after these are left out.]"))
    return tuple(lines)


def _gap_note(words: str) -> Overheard:
    return Overheard(Speaker("", "note"), words)


def _cut(message: Json, max_chars: int) -> Json:
    words = _text(message)
    if len(words) <= max_chars:
        return message
    return {**message, "text": words[:max_chars] + " […]", "attachments": [], "files": []}


def _text(message: Json) -> str:
    """What a message says, also one of other apps, whose words may stand in attachments."""
    said = [get_text(message, "text"), quoted(message)]
    if not any(said):
        said = [
            get_text(one, "text") or get_text(one, "fallback")
            for one in get_objects(message, "attachments")
        ]
    said += [
        f"[file: {get_text(file, 'name') or 'unnamed'}]" for file in get_objects(message, "files")
    ]
    return "\n".join(words for words in said if words).strip()


def _speaker(message: Json, names: dict[str, str]) -> Speaker:
    user = get_text(message, "user") or get_text(message, "bot_id")
    name = (
        names.get(user)
        or get_text(message, "username")
        or get_text(get_object(message, "bot_profile"), "name")
    )
    return Speaker(user, name, get_text(message, "user_team") or get_text(message, "team"))
