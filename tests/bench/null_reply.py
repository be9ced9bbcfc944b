"""Reply that discards everything: a platform's cost is not measured."""

from __future__ import annotations

from collections.abc import Sequence

from bot.conversation import Turn
from bot.errors import KeepthreadError
from bot.ports import CommandButton, Delivery


class NullReply:
    """`Reply` that discards everything; a failed turn ends the bench."""

    async def set_status(self, text: str) -> None:
        """Discarded."""

    async def show(self, delta: str) -> None:
        """Discarded."""

    async def finish(self, turn: Turn) -> Delivery:
        return Delivery()

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        raise AssertionError(f"{turn.note}: {error!r}")

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        return None

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        return await self.post(text)

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        raise AssertionError(text)

    async def aclose(self) -> None:
        """Nothing to close."""
