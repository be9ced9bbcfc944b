"""Checks of `keepthread doctor` that ask Telegram."""

from __future__ import annotations

import re

from telegram import User
from telegram.error import EndPointNotFound, InvalidToken, TelegramError

from adapters.telegram.api.client import Client, make_client
from adapters.telegram.api.errors import TOKEN_CURE, is_unknown_method, translate_error
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.settings import TelegramSettings
from bot.ports import Check
from bot.settings import Settings

_PATTERN = re.compile(r"telegram:(\d+/)?-?\d+")


async def examine(settings: TelegramSettings, core_settings: Settings) -> list[Check]:
    """Check the token, the rights and the transport."""
    client, request = make_client(settings, RateLimiter())
    try:
        me = await client.get_me()
        return [
            _check_bot(me),
            _check_rights(core_settings),
            await _check_transport(client, settings),
        ]
    except (InvalidToken, EndPointNotFound):
        return [Check("telegram", "failed", "Telegram refuses the token", TOKEN_CURE)]
    except TelegramError as error:
        cure = f"Is {settings.telegram_api_url} reachable from here? Is there a proxy between?"
        return [Check("telegram", "failed", translate_error(error).detail, cure)]
    finally:
        await request.shutdown()


def _check_bot(me: User) -> Check:
    sees = "sees all messages of its groups" if me.can_read_all_group_messages else "privacy mode"
    if me.can_join_groups is False:
        sees = "cannot be added to groups; @BotFather, /setjoingroups changes that"
    return Check("telegram", "ok", f"@{me.username}, {sees}")


def _check_rights(core_settings: Settings) -> Check:
    listed = [pattern for pattern in core_settings.bot_allow if pattern.startswith("telegram:")]
    if not listed:
        return Check(
            "telegram rights",
            "warning",
            "nobody may talk with it yet",
            "Write to the bot: it tells you your id. Then set BOT_ALLOW=telegram:<id> and restart.",
        )
    if "telegram:*" in listed:
        return Check(
            "telegram rights",
            "warning",
            "everybody on Telegram may talk with it",
            "Name people and groups in BOT_ALLOW instead of telegram:*, unless it is meant.",
        )
    nameless = [pattern for pattern in listed if not _PATTERN.fullmatch(pattern)]
    if nameless:
        return Check(
            "telegram rights",
            "warning",
            f"{', '.join(nameless)} lets nobody in: names change, so only ids count",
            "Write to the bot, or mention it in the group: it tells you the id.",
        )
    return Check("telegram rights", "ok", ", ".join(listed))


async def _check_transport(client: Client, settings: TelegramSettings) -> Check:
    name = "telegram transport"
    try:
        info = await client.get_webhook_info()
    except InvalidToken as error:
        if not is_unknown_method(error):
            raise
        kind = "webhook" if settings.webhook_url else "long polling"
        return Check(name, "ok", f"{kind}; this Bot API server does not tell what waits")
    if not settings.webhook_url:
        if info.url:
            return Check(
                name,
                "warning",
                f"a webhook is set ({info.url}); `keepthread serve` will remove it and poll",
                "Set TELEGRAM_WEBHOOK_URL if the webhook is yours.",
            )
        return Check(name, "ok", f"long polling; {info.pending_update_count} updates wait")
    if settings.is_cloud and not settings.webhook_url.startswith("https://"):
        return Check(
            name, "failed", "Telegram calls https:// only", "Correct TELEGRAM_WEBHOOK_URL."
        )
    if info.url and info.url != settings.webhook_url:
        return Check(
            name,
            "warning",
            f"another webhook is set: {info.url}",
            "`keepthread serve` sets ours. If it comes back, something else uses this bot.",
        )
    if info.last_error_message:
        return Check(
            name,
            "warning",
            f"webhook; Telegram's last error: {info.last_error_message}",
            "Can the internet reach TELEGRAM_WEBHOOK_URL, and does it lead to /telegram here?",
        )
    return Check(name, "ok", f"webhook; {info.pending_update_count} updates wait")
