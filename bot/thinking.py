"""One answer while it grows: the model's stream, shown as it comes, ended from outside if asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bot.context import Context
from bot.conversation import Turn, Usage
from bot.errors import PromptTooLong
from bot.ports import Model, Past, Prompt, Reply, TurnTrace
from bot.tasks import cancel_all

T = TypeVar("T")


class Stop:
    """Asks a running answer to end; safe to use before, during and after it."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def requested(self) -> bool:
        return self._asked.is_set()

    def request(self) -> None:
        self._asked.set()

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` gives, or raises; None if it was stopped first: then it is cancelled, and gone on return."""
        if self.requested:
            work.close()
            return None
        # A task of its own, so that a stop ends the work and not the turn around it.
        working = asyncio.create_task(work, name="unless stopped")
        stopping = asyncio.create_task(self._asked.wait(), name="stop")
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all((working, stopping))
        if working.cancelled():
            if not self.requested:
                raise asyncio.CancelledError
            return None
        return working.result()


@dataclass(slots=True)
class Thought:
    """What the model said so far, and to which prompt.

    Attributes:
        past: what the prompt is made from; shrinks if the model takes less than we thought.
    """

    turn: Turn
    past: Past
    prompt: Prompt
    pieces: list[str] = field(default_factory=list)
    usage: Usage | None = None
    model: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    async def run(
        self, model: Model, context: Context, reply: Reply, trace: TurnTrace, stop: Stop
    ) -> None:
        """Think to the end, or until `stop`. Whatever was shown is in `pieces`, also after an error.

        Raises:
            ModelError: the model failed.
            MessageTooLong: a shorter prompt is not possible.
        """
        await stop.unless(self._stream(model, context, reply, trace))

    async def _stream(self, model: Model, context: Context, reply: Reply, trace: TurnTrace) -> None:
        while True:
            try:
                async with aclosing(model.stream(self.prompt, trace)) as pieces:
                    async for piece in pieces:
                        if piece.text:
                            self.pieces.append(piece.text)
                            await reply.show(piece.text)
                        if piece.usage:
                            self.usage = piece.usage
                        if piece.model:
                            self.model = piece.model
                return
            except PromptTooLong:
                if self.pieces or not self.past.window:
                    raise
                images = self.prompt.messages[-1].images
                self.past = context.shorter(self.past, self.prompt)
                self.prompt = context.prompt(self.past, self.turn, images)
