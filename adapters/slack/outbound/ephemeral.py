"""Words only one person may see: below a slash command or a shortcut, where nobody else asked.

Response addresses take five messages within half an hour
(https://docs.slack.dev/interactivity/handling-user-interaction#message_responses).
"""

from __future__ import annotations

import structlog
from slack_sdk.webhook.async_client import AsyncWebhookClient

from adapters.slack.api.errors import slack_errors, was_not_carried_out
from adapters.slack.api.web_api import ResultUnknown
from adapters.slack.outbound.blocks import Block, fallback, markdown_blocks
from adapters.slack.outbound.message_metadata import MessageMetadata
from adapters.slack.outbound.messages import MessageSender
from adapters.slack.outbound.target import Target
from bot.errors import PlaceGone, PlatformError

log = structlog.get_logger("keepthread.slack")


async def post_ephemeral(
    sender: MessageSender, target: Target, text: str, extras: list[Block]
) -> None:
    """Tell `spot.ephemeral_user`: where they asked, else in their direct messages.

    Nothing is whispered twice: nobody can look whether it was heard, so what is unknown counts as told.

    Raises:
        PlatformError: they were not told.
    """
    blocks = markdown_blocks(text) + extras
    if target.response_url and await _respond(sender, target, text, blocks):
        return
    try:
        await sender.call(
            target.team,
            "chat.postEphemeral",
            channel=target.channel,
            idempotent=False,
            user=target.ephemeral_user,
            thread_ts=target.thread_ts or None,
            text=fallback(text),
            blocks=blocks,
        )
    except ResultUnknown as error:
        log.info("whether somebody was told is unknown", error=error.detail)
    except PlaceGone as error:
        log.info("nobody can be told there; telling directly", error=error.detail)
        await sender.post(
            await direct_message_target(sender, target), text, MessageMetadata(), extras
        )


async def direct_message_target(sender: MessageSender, target: Target) -> Target:
    """The direct messages with the person `spot` is for. Raises PlatformError."""
    person = target.ephemeral_user or target.recipient
    channel = await sender.direct_channel(target.team, person)
    return Target(target.session, channel, recipient=person, recipient_team=target.recipient_team)


async def _respond(sender: MessageSender, target: Target, text: str, blocks: list[Block]) -> bool:
    """Whether the response address took it."""
    client = await sender.client(target.team)
    webhook = AsyncWebhookClient(target.response_url, session=client.session, retry_handlers=[])
    try:
        with slack_errors("response_url"):
            answer = await webhook.send(
                text=fallback(text),
                blocks=blocks,
                response_type="ephemeral",
                replace_original=False,
            )
    except PlatformError as error:
        is_known = isinstance(error.__cause__, Exception) and was_not_carried_out(error.__cause__)
        log.info("no answer at a response address", error=error.detail, was_sent=not is_known)
        return not is_known
    if answer.status_code != 200:
        log.info("a response address is used up", status=answer.status_code)
    return answer.status_code == 200
