"""Other ways to hand over a text that Slack refuses as a message: as a file, or a sentence that says so.

Nothing ends without a word to its person, whatever Slack refuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from adapters.slack.api.errors import ThreadGone
from adapters.slack.outbound.ephemeral import post_ephemeral
from adapters.slack.outbound.message_metadata import MessageMetadata
from adapters.slack.outbound.uploads import upload_file
from bot.errors import PlaceGone, PlatformError

if TYPE_CHECKING:
    from adapters.slack.outbound.messages import MessageSender
    from adapters.slack.outbound.target import Target

log = structlog.get_logger("keepthread.slack")

FILE_NAME = "answer.md"
AS_FILE = "Slack does not take my answer as a message. Here it is as a file."
NOT_SHOWN = (
    "I have an answer, but Slack does not let me show it. Please ask again, or tell the person who "
    "runs me."
)
NOT_POSTED = (
    "I could not answer in the channel where you asked me: Slack does not let me write there."
)


async def hand_over_otherwise(
    sender: MessageSender, target: Target, text: str, error: PlatformError
) -> str:
    """Hand over `text` as a file, or post that it cannot be shown; the message's `ts`, "" if unknown.

    Args:
        error: the refusal of the message.

    Raises:
        PlatformError: `error`, if everything is refused.
    """
    log.error("message refused in every form", error=error.detail)
    try:
        await upload_file(sender.api, target, AS_FILE, FILE_NAME, text.encode())
    except ThreadGone:
        raise
    except PlatformError as refusal:
        log.warning("answer not uploaded", error=refusal.detail)
    else:
        return ""
    try:
        return await sender.post(target, NOT_SHOWN, MessageMetadata())
    except ThreadGone:
        raise
    except PlatformError as refusal:
        log.warning("sentence refused", error=refusal.detail)
    if await notify_person(sender, target, NOT_SHOWN):
        return ""
    raise error


async def notify_person(sender: MessageSender, target: Target, text: str) -> bool:
    """Tell the asking person alone: in the channel, else in direct messages; whether Slack took it."""
    person = target.ephemeral_user or target.recipient
    if not person or target.channel.startswith("D"):
        return False
    try:
        await post_ephemeral(sender, replace(target, ephemeral_user=person), text, [])
    except PlatformError as error:
        log.warning("person not reached", user=person, error=error.detail)
        return False
    return True


@asynccontextmanager
async def notifying_if_gone(sender: MessageSender, target: Target) -> AsyncIterator[None]:
    """Tells the asking person where the channel takes no message; the error goes on. Not if the thread is deleted."""
    try:
        yield
    except ThreadGone:
        raise
    except PlaceGone:
        await notify_person(sender, target, NOT_POSTED)
        raise
