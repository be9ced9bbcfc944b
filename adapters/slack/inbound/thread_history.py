"""Thread history: the first and the newest messages of a thread, fetched when the bot is first mentioned in it.

`conversations.replies` gives the oldest first. Apps distributed outside the Marketplace may call it once a
minute, for 15 messages (https://docs.slack.dev/changelog/2025/05/29/rate-limit-changes-for-non-marketplace-apps).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from adapters.slack.api.errors import slack_errors
from adapters.slack.api.payload import Json, get_object, get_objects, get_text
from adapters.slack.inbound.content import read_message
from adapters.slack.inbound.mrkdwn import decode, mentioned, named_places
from bot.conversation import Address, Attachment, Overheard, Speaker
from bot.errors import PlatformBusy

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

    from adapters.slack.api.places import PlaceDirectory
    from adapters.slack.api.users import UserDirectory
    from adapters.slack.api.workspaces import Workspaces

log = structlog.get_logger("keepthread.slack")

WAIT_S = 3.0
"""The answer waits for this; an incomplete history is better than a late answer."""

MAX_CHARS = 12_000
"""Of the whole history, root included; longer single messages are cut to a third of it."""

_PAGE_SIZE = 200
_MAX_PAGES = 10
_NAMES_WAIT_S = 0.5

NOT_READ = "[The earlier messages of this thread could not be read in time.]"


class ThreadHistoryFetcher:
    """See `bot.ports.ThreadHistory`.

    Args:
        max_chars: see `MAX_CHARS`.
        page_size: messages in a page.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        users: UserDirectory,
        places: PlaceDirectory,
        *,
        max_chars: int = MAX_CHARS,
        page_size: int = _PAGE_SIZE,
    ) -> None:
        self._workspaces = workspaces
        self._users = users
        self._places = places
        self._max_chars = max_chars
        self._page_size = page_size

    async def fetch(self, address: Address, *, wait_s: float = WAIT_S) -> tuple[Overheard, ...]:
        """Earlier messages of the thread, oldest first; notes without a speaker stand for omitted ones.

        Raises:
            PlatformError: Slack refuses. A rate limit shortens the history instead.
        """
        until = time.monotonic() + wait_s
        session = address.session
        client = await self._workspaces.client(session.account)
        messages, is_complete = await self._fetch_messages(client, address, until)
        earlier = [
            read
            for read in map(_read, messages)
            if read.text and read.message.get("ts") != address.reply_to_id
        ]
        if not earlier:
            return () if is_complete else (_gap_note(NOT_READ),)
        kept, left_out = root_and_newest(earlier, self._max_chars)
        overheard = await self._as_overheard(session.account, kept, until)
        return _with_gap_notes(overheard, left_out, is_complete)

    async def _fetch_messages(
        self, client: AsyncWebClient, address: Address, until: float
    ) -> tuple[list[Json], bool]:
        """Messages before the one that is answered, as far as time allows, and whether those are all."""
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
                log.info("thread history rate limited", retry_after_s=wait_s, read=len(messages))
                if time.monotonic() + wait_s >= until:
                    return messages, False
                await asyncio.sleep(wait_s)
                continue
            known = {
                message.get("ts") for message in messages
            }  # each page begins with the root again
            messages += [
                message
                for message in get_objects(page, "messages")
                if message.get("ts") not in known
            ]
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
        self, team: str, messages: Sequence[EarlierMessage], until: float
    ) -> list[Overheard]:
        authors = [get_text(earlier.message, "user") for earlier in messages]
        named = [user for earlier in messages for user in mentioned(earlier.text)]
        wait_s = max(_NAMES_WAIT_S, until - time.monotonic())
        places = named_places("\n".join(earlier.text for earlier in messages))
        names, place_names = await asyncio.gather(
            self._users.names(team, (*authors, *named), wait_s=wait_s),
            self._places.names(team, places, wait_s=wait_s),
        )
        names |= place_names
        return [
            Overheard(
                speaker_of(earlier.message, names),
                decode(earlier.text, names),
                get_text(earlier.message, "ts"),
                earlier.files,
            )
            for earlier in messages
        ]


@dataclass(frozen=True, slots=True)
class EarlierMessage:
    """A message of the thread: its payload, its words as raw mrkdwn, and its files."""

    message: Json
    text: str
    files: tuple[Attachment, ...] = ()


def root_and_newest(
    messages: Sequence[EarlierMessage], max_chars: int
) -> tuple[list[EarlierMessage], int]:
    """The root and the newest of `messages` that fit, oldest first, and the number omitted between them."""
    max_message_chars = max_chars // 3
    root = _cut(messages[0], max_message_chars)
    room = max_chars - len(root.text)
    newest: list[EarlierMessage] = []
    for message in reversed(messages[1:]):
        short = _cut(message, max_message_chars)
        room -= len(short.text)
        if room < 0:
            break
        newest.append(short)
    return [root, *reversed(newest)], len(messages) - 1 - len(newest)


def _with_gap_notes(
    overheard: Sequence[Overheard], left_out: int, is_complete: bool
) -> tuple[Overheard, ...]:
    lines = list(overheard)
    if left_out:
        are = "message is" if left_out == 1 else "messages are"
        lines.insert(1, _gap_note(f"[{left_out:,} earlier {are} left out here.]"))
    if not is_complete:
        lines.append(_gap_note("[The messages that came after these are left out.]"))
    return tuple(lines)


def _gap_note(text: str) -> Overheard:
    return Overheard(Speaker("", "note"), text)


def _cut(earlier: EarlierMessage, max_chars: int) -> EarlierMessage:
    if len(earlier.text) <= max_chars:
        return earlier
    return replace(earlier, text=earlier.text[:max_chars] + " […]")


def _read(message: Json) -> EarlierMessage:
    """All words of a message, also of other apps; of one that has only files, their names."""
    content = read_message(message)
    text = "\n".join(filter(None, (content.text, content.quoted))).strip()
    if not text:
        text = ", ".join(f"[file: {file.name or 'unnamed'}]" for file in content.files)
    if not text and content.is_unreadable:
        text = "[a message without words]"
    return EarlierMessage(message, text, content.files)


def speaker_of(message: Json, names: dict[str, str]) -> Speaker:
    user = get_text(message, "user") or get_text(message, "bot_id")
    name = (
        names.get(user)
        or get_text(message, "username")
        or get_text(get_object(message, "bot_profile"), "name")
    )
    return Speaker(user, name, get_text(message, "user_team") or get_text(message, "team"))
