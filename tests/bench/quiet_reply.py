"""A reply that nobody reads: what a platform costs is not measured here."""

from __future__ import annotations

from bot.conversation import Turn
from bot.errors import KeepthreadError
from bot.ports import Delivery


class QuietReply:
    """The `Reply` port. A turn that fails ends the bench."""

    async def status(self, words: str) -> None:
        """Nobody waits."""

    async def show(self, piece: str) -> None:
        """Nobody reads."""

    async def finish(self, turn: Turn) -> Delivery:
        return Delivery()

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        raise AssertionError(f"{turn.note}: {error!r}")

    async def already_there(self, turn: Turn) -> Delivery | None:
        return None

    async def say(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        raise AssertionError(text)

    async def aclose(self) -> None:
        """Nothing is open."""
