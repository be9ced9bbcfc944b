"""Slack's part of an address: `Address.details`, read and written here only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.conversation import Address


@dataclass(frozen=True, slots=True)
class SlackDetails:
    """`Address.details` of a Slack address. Stored with every message, so the keys stay as they are.

    Attributes:
        thread_ts: the thread to answer in, or "" for the top level.
        ephemeral_user: the one person who may see the answer, or "".
        response_url: response URL of the interaction; valid for half an hour and five messages.
        to_direct_messages: the answer goes to the recipient's direct messages (App Home).
        needs_history: the thread is older than the conversation: its earlier messages are to be fetched.
    """

    thread_ts: str = ""
    ephemeral_user: str = ""
    response_url: str = ""
    to_direct_messages: bool = False
    needs_history: bool = False

    @classmethod
    def of(cls, address: Address) -> SlackDetails:
        stored = address.details
        return cls(
            thread_ts=stored.get("thread_ts", ""),
            ephemeral_user=stored.get("ephemeral_user", ""),
            response_url=stored.get("response_url", ""),
            to_direct_messages=stored.get("home") == "1",
            needs_history=stored.get("seed") == "1",
        )

    def as_mapping(self) -> Mapping[str, str]:
        """As `Address.details` holds it."""
        optional = {
            "ephemeral_user": self.ephemeral_user,
            "response_url": self.response_url,
            "home": "1" if self.to_direct_messages else "",
            "seed": "1" if self.needs_history else "",
        }
        return {"thread_ts": self.thread_ts} | {key: text for key, text in optional.items() if text}
