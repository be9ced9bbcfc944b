"""Assistant threads, of apps declared as agents: suggested prompts, and titles.

https://docs.slack.dev/ai/developing-agents
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.slack.api.errors import slack_errors
from adapters.slack.manifest import PROMPTS

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspaces

PROMPTS_TITLE = "What can I do for you?"
_TITLE_LENGTH = 60


@dataclass(slots=True)
class Assistant:
    """Methods of assistant threads."""

    workspaces: Workspaces

    async def suggest_prompts(self, team: str, channel: str, thread_ts: str = "") -> None:
        """Suggest prompts in a new thread. Raises PlatformError."""
        if not channel:
            return
        client = await self.workspaces.client(team)
        with slack_errors("assistant.threads.setSuggestedPrompts"):
            await client.assistant_threads_setSuggestedPrompts(
                channel_id=channel,
                thread_ts=thread_ts or None,
                title=PROMPTS_TITLE,
                prompts=[{"title": title, "message": message} for title, message in PROMPTS],
            )

    async def set_title(self, team: str, channel: str, thread_ts: str, text: str) -> None:
        """Title the thread by its first message. Raises PlatformError."""
        title = title_of(text)
        if not title:
            return
        client = await self.workspaces.client(team)
        with slack_errors("assistant.threads.setTitle"):
            await client.assistant_threads_setTitle(
                channel_id=channel, thread_ts=thread_ts, title=title
            )


def title_of(text: str) -> str:
    """The beginning of `text`, cut at a word."""
    line = " ".join(text.split())
    if len(line) <= _TITLE_LENGTH:
        return line
    return line[: _TITLE_LENGTH - 1].rsplit(" ", 1)[0].rstrip(",.;:") + "…"
