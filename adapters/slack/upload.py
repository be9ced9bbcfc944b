"""Files of ours: https://docs.slack.dev/messaging/working-with-files#uploading_files"""

from __future__ import annotations

import json

import aiohttp

from adapters.slack.calls import Calls
from adapters.slack.render import escape, neutral
from adapters.slack.spot import Spot
from bot.errors import PlatformError, PlatformUnreachable

COMMENT_CHARS = 2_000
"""Longer words are better said in a message of their own."""

_TIMEOUT_S = 60.0


async def send_file(calls: Calls, spot: Spot, comment: str, name: str, content: bytes) -> None:
    """Put a file there, with `comment` (Markdown) above it.

    Raises:
        PlatformError: it is not there; `Unsure`: it may be.
    """
    content = content or b"\n"  # Slack takes no empty files
    place = await calls.call(
        spot.team, "files.getUploadURLExternal", filename=name, length=len(content)
    )
    await _upload(calls, spot, str(place["upload_url"]), content)
    await calls.call(
        spot.team,
        "files.completeUploadExternal",
        repeatable=False,
        files=json.dumps([{"id": place["file_id"], "title": name}]),
        channel_id=spot.channel,
        thread_ts=spot.thread_ts or None,
        initial_comment=escape(neutral(comment)) or None,
    )


async def _upload(calls: Calls, spot: Spot, url: str, content: bytes) -> None:
    client = await calls.client(spot.team)
    if client.session is None:
        raise PlatformError("a client without a session cannot upload")
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with client.session.post(url, data=content, timeout=timeout) as response:
            if response.status != 200:
                raise PlatformError(f"an upload answered {response.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PlatformUnreachable(
            f"a file could not be uploaded: {type(error).__name__}"
        ) from error
