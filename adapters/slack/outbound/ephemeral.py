"""Ephemeral messages: answers to slash commands and shortcuts, which only one person sees.

Response URLs take five messages within half an hour
(https://docs.slack.dev/interactivity/handling-user-interaction#message_responses).
"""

from __future__ import annotations

import structlog
from slack_sdk.webhook.async_client import AsyncWebhookClient

from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api.errors import code_of, is_refusal, slack_errors, was_not_carried_out
from adapters.slack.outbound.blocks import Block, fallback_text, markdown_blocks
from adapters.slack.outbound.content import MessageContent
from adapters.slack.outbound.message_metadata import MessageMetadata
from adapters.slack.outbound.messages import MessageSender
from adapters.slack.outbound.target import Target
from bot.errors import PlaceGone, PlatformError

log = structlog.get_logger("keepthread.slack")


async def post_ephemeral(
    sender: MessageSender, target: Target, text: str, extras: list[Block]
) -> None:
    """Post to `target.ephemeral_user`: in the channel, else in their direct messages.

    At most once: ephemeral messages cannot be read back, so an unknown result counts as delivered.

    Raises:
        PlatformError: it was not posted.
    """
    content = MessageContent(text, extras)
    if target.response_url and await _post_to_response_url(sender, target, text, extras):
        return
    try:
        await _post_to_channel(sender, target, content)
    except OutcomeUnknown as error:
        log.info("ephemeral post result unknown", error=error.detail)
    except PlatformError as error:
        if not isinstance(error, PlaceGone) and not is_refusal(error):
            raise
        log.info("ephemeral message sent as direct message", error=error.detail)
        there = await direct_message_target(sender, target)
        await sender.post(there, text, MessageMetadata(), extras)


async def _post_to_channel(sender: MessageSender, target: Target, content: MessageContent) -> None:
    while True:
        try:
            await sender.api.call(
                target.team,
                "chat.postEphemeral",
                channel=target.channel,
                idempotent=False,
                user=target.ephemeral_user,
                thread_ts=target.thread_ts or None,
                **content.arguments(),
            )
        except PlatformError as error:
            if not is_refusal(error) or not content.simplify(code_of(error)):
                raise
            log.warning("content refused, simpler one is tried", error=error.detail)
        else:
            return


async def direct_message_target(sender: MessageSender, target: Target) -> Target:
    """Direct messages with the person that `target` is for. Raises PlatformError."""
    person = target.ephemeral_user or target.recipient
    channel = await sender.direct_channel(target.team, person)
    return Target(target.session, channel, recipient=person, recipient_team=target.recipient_team)


async def _post_to_response_url(
    sender: MessageSender, target: Target, text: str, extras: list[Block]
) -> bool:
    """Whether the response URL took the message, as far as is known."""
    client = await sender.api.client(target.team)
    webhook = AsyncWebhookClient(target.response_url, session=client.session, retry_handlers=[])
    try:
        with slack_errors("response_url"):
            response = await webhook.send(
                text=fallback_text(text),
                blocks=markdown_blocks(text) + extras,
                response_type="ephemeral",
                replace_original=False,
            )
    except PlatformError as error:
        origin = error.__cause__
        was_posted = not (isinstance(origin, Exception) and was_not_carried_out(origin))
        log.info("response URL failed", error=error.detail, was_sent=was_posted)
        return was_posted
    if response.status_code != 200:
        log.info("response URL expired", status=response.status_code)
    return response.status_code == 200
