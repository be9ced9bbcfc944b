"""A reply that nobody reads: what a platform costs is not measured here."""

from __future__ import annotations

from collections.abc import Sequence

from bot.conversation import Turn
from bot.errors import KeepthreadError
from bot.ports import CommandButton, Delivery


class QuietReply:
    """The `Reply` port. A turn that fails ends the bench."""

    async def set_status(self, text: str) -> None:
        """Nobody waits."""

    async def show(self, piece: str) -> None:
        """Nobody reads."""

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
        """Nothing is open."""
