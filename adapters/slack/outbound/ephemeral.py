"""Words only one person may see: below a slash command or a shortcut, where nobody else asked.

Response addresses take five messages within half an hour
(https://docs.slack.dev/interactivity/handling-user-interaction#message_responses).
"""

from __future__ import annotations

import structlog
from slack_sdk.webhook.async_client import AsyncWebhookClient

from adapters.slack.api.errors import slack_errors, was_never_sent
from adapters.slack.api.web_api import Unsure
from adapters.slack.outbound.blocks import Block, fallback, markdown_blocks
from adapters.slack.outbound.message_metadata import Mark
from adapters.slack.outbound.messages import Outbound
from adapters.slack.outbound.target import Spot
from bot.errors import PlaceGone, PlatformError

log = structlog.get_logger("keepthread.slack")


async def whisper(outbound: Outbound, spot: Spot, text: str, extras: list[Block]) -> None:
    """Tell `spot.only_for`: where they asked, else in their direct messages.

    Nothing is whispered twice: nobody can look whether it was heard, so what is unknown counts as told.

    Raises:
        PlatformError: they were not told.
    """
    blocks = markdown_blocks(text) + extras
    if spot.response_url and await _respond(outbound, spot, text, blocks):
        return
    try:
        await outbound.call(
            spot.team,
            "chat.postEphemeral",
            channel=spot.channel,
            repeatable=False,
            user=spot.only_for,
            thread_ts=spot.thread_ts or None,
            text=fallback(text),
            blocks=blocks,
        )
    except Unsure as error:
        log.info("whether somebody was told is unknown", error=error.detail)
    except PlaceGone as error:
        log.info("nobody can be told there; telling directly", error=error.detail)
        await outbound.post(await directly(outbound, spot), text, Mark(), extras)


async def directly(outbound: Outbound, spot: Spot) -> Spot:
    """The direct messages with the person `spot` is for. Raises PlatformError."""
    person = spot.only_for or spot.recipient
    channel = await outbound.home(spot.team, person)
    return Spot(spot.session, channel, recipient=person, recipient_team=spot.recipient_team)


async def _respond(outbound: Outbound, spot: Spot, text: str, blocks: list[Block]) -> bool:
    """Whether the response address took it."""
    client = await outbound.client(spot.team)
    webhook = AsyncWebhookClient(spot.response_url, session=client.session, retry_handlers=[])
    try:
        with slack_errors("response_url"):
            answer = await webhook.send(
                text=fallback(text),
                blocks=blocks,
                response_type="ephemeral",
                replace_original=False,
            )
    except PlatformError as error:
        is_known = isinstance(error.__cause__, Exception) and was_never_sent(error.__cause__)
        log.info("no answer at a response address", error=error.detail, was_sent=not is_known)
        return not is_known
    if answer.status_code != 200:
        log.info("a response address is used up", status=answer.status_code)
    return answer.status_code == 200
