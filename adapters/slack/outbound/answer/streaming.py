"""Streaming of an answer: its messages follow the text as the model writes it.

Slack's own streams are used where Slack also shows its own stop button, which only apps declared as agents
get. Elsewhere messages are edited, since those can carry a stop button of the bot's.
"""

from __future__ import annotations

from adapters.shared.throttled_updates import ThrottledUpdates
from adapters.slack.outbound.answer.messages import AnswerMessages
from adapters.slack.outbound.markdown.mentions import disable_mentions_so_far
from adapters.slack.outbound.markdown.splitting import split_visible
from adapters.slack.outbound.status import StatusIndicator

STREAM_PACE_S = 1.0
EDIT_PACE_S = 1.5


class StreamingAnswer:
    """Shows a growing answer. Raises nothing: `AnswerMessages.deliver` completes what was not shown.

    Args:
        answer: the messages it is shown in.
        status: hidden once text is shown.
        pace_s: least seconds between two updates; the first text is shown at once.
    """

    def __init__(
        self, answer: AnswerMessages, status: StatusIndicator, *, pace_s: float | None = None
    ) -> None:
        self._answer = answer
        self._status = status
        self._fixed_pace_s = pace_s
        self._updates = ThrottledUpdates(self._show, pace_s=self._pace_s, name="slack stream")

    def add(self, text: str) -> None:
        """Append `text` to the answer."""
        self._updates.add(text)

    async def end(self) -> None:
        """Show no more. Waits for the call in flight, so that every message is known."""
        await self._updates.end()

    async def _show(self, text: str) -> bool:
        """Bring the messages up to `text`, of which only the last still grows. Raises PlatformError."""
        parts = split_visible(disable_mentions_so_far(text), growing=True)
        if not parts:
            return False
        await self._answer.adopt_leftovers()
        for number, part in enumerate(parts, 1):
            is_growing = number == len(parts)
            if self._updates.is_ended:
                break
            as_stream = (
                number > len(self._answer)
                and is_growing
                and self._answer.can_stream
                and await self._status.has_native_stop_button()
            )
            await self._answer.show_part(
                number, part.text, is_growing=is_growing, as_stream=as_stream
            )
            self._status.hide()
        return True

    def _pace_s(self) -> float:
        if self._fixed_pace_s is not None:
            return self._fixed_pace_s
        return STREAM_PACE_S if self._answer.is_streaming else EDIT_PACE_S
