"""File uploads into a thread."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp

from adapters.slack.api.web_api import ResultUnknown, WebApiClient
from adapters.slack.outbound.blocks import disable_mentions, escape
from adapters.slack.outbound.target import Target
from bot.errors import (
    PlatformError,
    PlatformUnreachable,
)

if TYPE_CHECKING:
    pass
from adapters.slack.api.files import _TIMEOUT

COMMENT_CHARS = 2_000
"""Longer words are better said in a message of their own."""


_PLACES = ("channels", "groups", "ims", "shares")


async def send_file(
    calls: WebApiClient, target: Target, comment: str, name: str, content: bytes
) -> None:
    """Put a file there, with `comment` (Markdown) above it.

    Raises:
        PlatformError: it is not there; `ResultUnknown`: it may be.
    """
    content = content or b"\n"  # Slack takes no empty files
    place = await calls.call(
        target.team, "files.getUploadURLExternal", filename=name, length=len(content)
    )
    await _upload(calls, target, str(place["upload_url"]), content)
    try:
        await calls.call(
            target.team,
            "files.completeUploadExternal",
            idempotent=False,
            files=json.dumps([{"id": place["file_id"], "title": name}]),
            channel_id=target.channel,
            thread_ts=target.thread_ts or None,
            initial_comment=escape(disable_mentions(comment)) or None,
        )
    except ResultUnknown:
        answer = await calls.call(target.team, "files.info", file=str(place["file_id"]))
        if not _is_shared(answer.get("file") or {}):
            raise


def _is_shared(file: Any) -> bool:
    return any(file.get(places) for places in _PLACES)


async def _upload(calls: WebApiClient, target: Target, url: str, content: bytes) -> None:
    client = await calls.client(target.team)
    if client.session is None:
        raise PlatformError("a client without a session cannot upload")
    try:
        async with client.session.post(url, data=content, timeout=_TIMEOUT) as response:
            if response.status != 200:
                raise PlatformError(f"an upload answered {response.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PlatformUnreachable(
            f"a file could not be uploaded: {type(error).__name__}"
        ) from error
