"""File downloads: description and content of files in Slack.

https://docs.slack.dev/reference/objects/file-object#authentication
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import structlog

from adapters.slack.api.attachments import attachment_of, file_id
from adapters.slack.api.errors import slack_errors
from bot.conversation import Attachment
from bot.errors import (
    FileTooLarge,
    KeepthreadError,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
)
from bot.text import human_size

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspaces

log = structlog.get_logger("keepthread.slack")


TRANSFER_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?(?:/[^\s\\]*)?")
_SLACK_DOMAINS = ("slack.com", "slack-gov.com", "slack-files.com")


async def describe_file(workspaces: Workspaces, team: str, attachment: Attachment) -> Attachment:
    """`attachment` as `files.info` describes it, where the event held only an id. Raises PlatformError, StoreError."""
    id_ = file_id(attachment)
    if not id_:
        return attachment
    client = await workspaces.client(team)
    with slack_errors("files.info"):
        response = await client.files_info(file=id_)
    return attachment_of(response.get("file") or {})


async def describe_files(
    workspaces: Workspaces, team: str, attachments: Sequence[Attachment], *, wait_s: float
) -> tuple[Attachment, ...]:
    """Each of `attachments` as `files.info` describes it, as far as known within `wait_s`. Raises nothing."""

    async def describe(attachment: Attachment) -> Attachment:
        try:
            async with asyncio.timeout(wait_s):
                return await describe_file(workspaces, team, attachment)
        except (KeepthreadError, TimeoutError) as error:
            log.info("file not described", error=repr(error))
            return attachment

    return tuple(await asyncio.gather(*(describe(attachment) for attachment in attachments)))


def is_slack_url(url: str, api_url: str) -> bool:
    """Whether the token may be sent there: to Slack's own hosts, or the API's."""
    if not _PLAIN_URL.fullmatch(url):
        return False  # parsers disagree about its host
    parts, api = urlsplit(url), urlsplit(api_url)
    if (parts.scheme, parts.netloc) == (api.scheme, api.netloc):
        return True
    return parts.scheme == "https" and any(
        parts.netloc == domain or parts.netloc.endswith("." + domain) for domain in _SLACK_DOMAINS
    )


async def download(
    session: aiohttp.ClientSession,
    url: str,
    token: str,
    attachment: Attachment,
    api_url: str,
    *,
    max_bytes: int,
) -> bytes:
    """The content of a file behind a private URL. Follows no redirection: the token would be sent along.

    Raises:
        FileTooLarge: it has more than `max_bytes`.
        PlatformError: refused (with its cure), or unreachable.
    """
    if not is_slack_url(url, api_url):
        raise PlatformRefused("a file is at no address of Slack's; not fetched")
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with session.get(
            url, headers=headers, allow_redirects=False, timeout=TRANSFER_TIMEOUT
        ) as response:
            if response.status == 429:
                wait = response.headers.get("Retry-After", "")
                raise PlatformBusy(
                    "file downloads are limited",
                    retry_after_s=float(wait) if wait.isdigit() else None,
                )
            if _is_login_page(response, attachment):
                raise PlatformRefused(
                    "Slack showed its login page instead of a file: the token lacks files:read",
                    cure="Add the scope files:read to the app and install it again.",
                )
            if response.status != 200:
                raise PlatformError(f"a file download answered {response.status}")
            return await _read(response, max_bytes)
    except (aiohttp.ClientError, TimeoutError) as error:
        # Some of these quote the URL, which for public files needs no token.
        raise PlatformUnreachable(f"a file could not be fetched: {type(error).__name__}") from error


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    parts, total = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        total += len(part)
        if total > max_bytes:
            raise FileTooLarge(f"larger than {human_size(max_bytes)}")
        parts.append(part)
    return b"".join(parts)


def _is_login_page(response: aiohttp.ClientResponse, attachment: Attachment) -> bool:
    if 300 <= response.status < 400 or response.status in (401, 403):
        return True
    is_html = response.content_type == "text/html"
    return is_html and "html" not in attachment.media_type
