"""Target of a message in Slack: workspace, channel, thread and recipient."""

from __future__ import annotations

import time
from dataclasses import dataclass

from adapters.slack.outbound.address_details import SlackDetails
from bot.conversation import Address, SessionKey

_CLOCK_SKEW_S = 300


@dataclass(frozen=True, slots=True)
class Target:
    """Target of a message.

    Attributes:
        channel: its id; "" if it is the recipient's direct messages, whose id is not known yet.
        thread_ts: the thread, or "" for the top level.
        recipient: the person it is for, and their workspace: streams in channels need both.
        ephemeral_user: the one person who may see it, or "".
        response_url: see `SlackDetails`.
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
        details = SlackDetails.of(address)
        is_direct = details.to_direct_messages
        return cls(
            session=address.session,
            channel="" if is_direct else address.session.place,
            thread_ts="" if is_direct else details.thread_ts,
            recipient=address.recipient_id,
            recipient_team=address.recipient_account,
            ephemeral_user=details.ephemeral_user,
            response_url=details.response_url,
            answered_ts=address.reply_to_id,
        )

    @property
    def team(self) -> str:
        return self.session.account

    @property
    def can_stream(self) -> bool:
        """Whether Slack streams there: into threads only, and outside direct messages for a named person."""
        is_named = bool(self.recipient and self.recipient_team) or self.channel.startswith("D")
        return bool(self.thread_ts) and is_named

    @property
    def oldest_ts(self) -> str:
        """Time stamp that is older than every message of the answer."""
        try:
            float(self.answered_ts)
        except ValueError:
            return f"{time.time() - _CLOCK_SKEW_S:.6f}"
        return self.answered_ts

    @property
    def age_s(self) -> float:
        """Age of the message that is answered, in seconds; 0 if unknown."""
        try:
            return max(0.0, time.time() - float(self.answered_ts))
        except ValueError:
            return 0.0
