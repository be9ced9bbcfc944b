"""One answer while it grows: the model's stream, shown as it comes, ended from outside if asked."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field

from bot.conversation import Turn, Usage
from bot.errors import PromptTooLong
from bot.ports import HistorySnapshot, Model, Prompt, Reply, TurnTrace
from bot.prompt.builder import PromptBuilder
from bot.turns.stop_signal import StopSignal


@dataclass(slots=True)
class AnswerStream:
    """What the model said so far, and to which prompt.

    Attributes:
        past: what the prompt is made from; shrinks if the model takes less than we thought.
    """

    turn: Turn
    past: HistorySnapshot
    prompt: Prompt
    pieces: list[str] = field(default_factory=list)
    usage: Usage | None = None
    model: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    async def run(
        self, model: Model, context: PromptBuilder, reply: Reply, trace: TurnTrace, stop: StopSignal
    ) -> None:
        """Think to the end, or until `stop`. Whatever was shown is in `pieces`, also after an error.

        Raises:
            ModelError: the model failed.
            MessageTooLong: a shorter prompt is not possible.
        """
        await stop.run_until_stopped(self._stream(model, context, reply, trace))

    async def _stream(
        self, model: Model, context: PromptBuilder, reply: Reply, trace: TurnTrace
    ) -> None:
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
                self.past = context.halve_window(self.past, self.prompt)
                self.prompt = context.build(self.past, self.turn, images)
