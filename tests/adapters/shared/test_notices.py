"""Notices of the bot itself."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.shared.notices import post_notice
from bot.errors import PlaceGone


class RecordingReply:
    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.error = error

    async def post(self, text: str) -> None:
        self.calls.append(text)
        if self.error:
            raise self.error

    async def aclose(self) -> None:
        self.calls.append("closed")


async def test_a_notice_is_posted_and_its_reply_closed() -> None:
    reply: Any = RecordingReply()
    await post_notice(reply, "Hello.")
    assert reply.calls == ["Hello.", "closed"]


async def test_the_reply_of_a_failed_notice_is_closed() -> None:
    reply: Any = RecordingReply(PlaceGone("kicked"))
    with pytest.raises(PlaceGone):
        await post_notice(reply, "Hello.")
    assert reply.calls == ["Hello.", "closed"]
