"""File uploads into a thread. https://docs.slack.dev/messaging/working-with-files#uploading_files"""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api.files import TRANSFER_TIMEOUT
from adapters.slack.api.web_api import WebApiClient
from adapters.slack.outbound.blocks import disable_mentions, escape
from adapters.slack.outbound.target import Target
from bot.errors import PlatformError, PlatformUnreachable

MAX_COMMENT_CHARS = 2_000
"""Longer text is better posted as a message of its own."""

_SHARED_IN = ("channels", "groups", "ims", "shares")


async def upload_file(
    api: WebApiClient, target: Target, comment: str, name: str, content: bytes
) -> None:
    """Upload a file, with `comment` (Markdown) above it.

    Raises:
        PlatformError: it is not there; `OutcomeUnknown`: it may be.
    """
    content = content or b"\n"  # Slack refuses empty files
    upload = await api.call(
        target.team, "files.getUploadURLExternal", filename=name, length=len(content)
    )
    await _send_content(api, target, str(upload["upload_url"]), content)
    try:
        await api.call(
            target.team,
            "files.completeUploadExternal",
            idempotent=False,
            files=json.dumps([{"id": upload["file_id"], "title": name}]),
            channel_id=target.channel,
            thread_ts=target.thread_ts or None,
            initial_comment=escape(disable_mentions(comment)) or None,
        )
    except OutcomeUnknown:
        response = await api.call(target.team, "files.info", file=str(upload["file_id"]))
        if not _is_shared(response.get("file") or {}):
            raise


def _is_shared(file: Any) -> bool:
    return any(file.get(places) for places in _SHARED_IN)


async def _send_content(api: WebApiClient, target: Target, url: str, content: bytes) -> None:
    client = await api.client(target.team)
    if client.session is None:
        raise PlatformError("a client without a session cannot upload")
    try:
        async with client.session.post(url, data=content, timeout=TRANSFER_TIMEOUT) as response:
            if response.status != 200:
                raise PlatformError(f"an upload answered {response.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PlatformUnreachable(
            f"a file could not be uploaded: {type(error).__name__}"
        ) from error
