"""Where in Slack an answer goes, and the mark by which its messages are known again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bot.conversation import Address, SessionKey

_CLOCK_SKEW_S = 300


@dataclass(frozen=True, slots=True)
class Target:
    """Where something is said.

    Attributes:
        channel: its id; "" if it is the recipient's direct messages.
        thread_ts: the thread, or "" for the top level.
        recipient: the person it is for, and their workspace: streams in channels need both.
        only_for: the one person who may see it, or "".
        response_url: a way to tell that person, good for half an hour and five messages.
        answered_ts: the message that is answered, or "".
    """

    session: SessionKey
    channel: str
    thread_ts: str = ""
    recipient: str = ""
    recipient_team: str = ""
    ephemeral_user: str = ""
    response_url: str = ""
    answered_ts: str = ""

    @classmethod
    def of(cls, address: Address) -> Target:
        details = address.details
        at_home = details.get("home") == "1"
        return cls(
            session=address.session,
            channel="" if at_home else address.session.place,
            thread_ts="" if at_home else details.get("thread_ts", ""),
            recipient=address.recipient_id,
            recipient_team=address.recipient_account,
            ephemeral_user=details.get("ephemeral_user", ""),
            response_url=details.get("response_url", ""),
            answered_ts=address.reply_to_id,
        )

    @property
    def team(self) -> str:
        return self.session.account

    @property
    def can_stream(self) -> bool:
        """Slack streams into threads, and outside direct messages for somebody."""
        is_named = bool(self.recipient and self.recipient_team) or self.channel.startswith("D")
        return bool(self.thread_ts) and is_named

    @property
    def oldest_ts(self) -> str:
        """Everything said about the message that is answered is newer than this."""
        try:
            float(self.answered_ts)
        except ValueError:
            return f"{time.time() - _CLOCK_SKEW_S:.6f}"
        return self.answered_ts

    @property
    def age_s(self) -> float:
        """How long ago the message was written that is answered; 0 if unknown."""
        try:
            return max(0.0, time.time() - float(self.answered_ts))
        except ValueError:
            return 0.0
