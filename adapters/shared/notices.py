"""Notices: texts of the bot itself, posted beside any answer."""

from __future__ import annotations

from bot.ports import Reply


async def post_notice(reply: Reply, text: str) -> None:
    """Post `text` with a reply of its own, and close that. Raises PlatformError."""
    try:
        await reply.post(text)
    finally:
        await reply.aclose()
