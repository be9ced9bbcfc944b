"""File uploads into a thread. https://docs.slack.dev/messaging/working-with-files#uploading_files"""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import structlog

from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api.errors import ThreadGone
from adapters.slack.api.files import TRANSFER_TIMEOUT
from adapters.slack.api.web_api import WebApiClient
from adapters.slack.outbound.blocks import escape
from adapters.slack.outbound.markdown.mentions import disable_mentions
from adapters.slack.outbound.target import Target
from bot.errors import PlatformError, PlatformUnreachable

log = structlog.get_logger("keepthread.slack")

MAX_COMMENT_CHARS = 2_000
"""Longer text is better posted as a message of its own."""

_CHECK_FOR_S = 5.0
_SHARED_IN = ("channels", "groups", "ims", "shares")


async def upload_file(
    api: WebApiClient, target: Target, comment: str, name: str, content: bytes
) -> None:
    """Upload a file, with `comment` (Markdown) above it.

    Raises:
        ThreadGone: the thread was deleted; nothing was uploaded.
        PlatformError: it is not there; `OutcomeUnknown`: it may be.
    """
    await _check_thread(api, target)
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


async def _check_thread(api: WebApiClient, target: Target) -> None:
    """Check that the thread is there: Slack shares into the channel, for everybody, if not. Raises ThreadGone."""
    if not target.thread_ts:
        return
    try:
        await api.call(
            target.team,
            "conversations.replies",
            channel=target.channel,
            ts=target.thread_ts,
            limit=1,
            retry_for_s=_CHECK_FOR_S,
        )
    except ThreadGone:
        raise
    except PlatformError as error:
        log.info("thread not checked", error=error.detail)


def _is_shared(file: Any) -> bool:
    return any(file.get(places) for places in _SHARED_IN)


async def _send_content(api: WebApiClient, target: Target, url: str, content: bytes) -> None:
    client = await api.client(target.team)
    if client.session is None:
        raise PlatformError("a client without a session cannot upload")
    try:
        async with client.session.post(url, data=content, timeout=TRANSFER_TIMEOUT) as response:
            if response.status == 429 or response.status >= 500:
                raise PlatformUnreachable(f"an upload answered {response.status}")
            if response.status != 200:
                raise PlatformError(f"an upload answered {response.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PlatformUnreachable(
            f"a file could not be uploaded: {type(error).__name__}"
        ) from error
