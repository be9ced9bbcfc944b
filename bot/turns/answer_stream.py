"""Streamed answer of the model, shown while it grows."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field, replace

import structlog

from bot.conversation import Turn, TurnState, Usage
from bot.errors import AnswerFiltered, KeepthreadError, ModelError, PromptRefused, PromptTooLong
from bot.ports import HistorySnapshot, Model, Prompt, Reply, TurnTrace
from bot.prompt.builder import PromptBuilder
from bot.prompt.calibration import Calibration, calibrated
from bot.turns.stop_signal import StopSignal
from bot.turns.thinking_quote import ThinkingQuote

log = structlog.get_logger("keepthread.turns")

LARGE_SHARE = 0.5
"""Share of the budget above which a refusal in unknown words may mean that the prompt is too long."""

_NO_PROMPT = Prompt(())


@dataclass(slots=True)
class AnswerStream:
    """Answer to one turn, and the prompt it is the answer to.

    Attributes:
        past: history that the prompt is made from; shrinks when the model finds the prompt too long, and is
            left out when its provider refuses the words.
        images: `data:` addresses of pictures in the new message.
        prompt: the prompt asked last; empty before the first.
        parts: text shown so far.
        usage: the provider's count of tokens, if it told one.
        model: name of the model that answered.
        thinking: quote of the model's thinking, where it is shown; None where it is not.
    """

    turn: Turn
    past: HistorySnapshot
    images: tuple[str, ...] = ()
    prompt: Prompt = _NO_PROMPT
    parts: list[str] = field(default_factory=list)
    usage: Usage | None = None
    model: str = ""
    thinking: ThinkingQuote | None = None
    _was_halved: bool = False

    @property
    def text(self) -> str:
        return "".join(self.parts)

    async def run(
        self, model: Model, builder: PromptBuilder, reply: Reply, trace: TurnTrace, stop: StopSignal
    ) -> None:
        """Stream the answer to its end, or until `stop`. After an error `parts` holds what was shown.

        Raises:
            ModelError: the model failed.
            MessageTooLong: the new message alone is more than the budget.
        """
        self.prompt = builder.build(self.past, self.turn, self.images)
        await stop.run_until_stopped(self._ask_with_shrinking_prompt(model, builder, reply, trace))

    def calibration(self) -> Calibration | None:
        """What the provider's count of tokens teaches, if it told one."""
        if self.usage is None:
            return None
        return calibrated(self.past, self.prompt, self.usage.input_tokens)

    async def _ask_with_shrinking_prompt(
        self, model: Model, builder: PromptBuilder, reply: Reply, trace: TurnTrace
    ) -> None:
        while True:
            try:
                await self._ask(model, reply, trace)
                return
            except (AnswerFiltered, PromptRefused, PromptTooLong) as error:
                if self.parts:
                    raise
                self.past = self._smaller_past(builder, error)
            self.prompt = builder.build(self.past, self.turn, self.images)

    def _smaller_past(self, builder: PromptBuilder, error: ModelError) -> HistorySnapshot:
        """History to ask with after the prompt was refused. Raises `error` if there is none."""
        if not (self.past.window or self.past.summary or self.past.fold.extract):
            raise error
        is_large = self.prompt.tokens > LARGE_SHARE * builder.budget_tokens
        may_be_too_long = isinstance(error, PromptRefused) and is_large and not self._was_halved
        if self.past.window and (isinstance(error, PromptTooLong) or may_be_too_long):
            log.warning("prompt too long, asked with half", error=repr(error))
            self._was_halved = True
            return builder.halve_window(self.past, self.prompt)
        # Either the new message is refused, or something earlier, which would be refused for ever.
        log.warning("prompt refused, asked without history", error=repr(error))
        return builder.without_past(self.past)

    async def _ask(self, model: Model, reply: Reply, trace: TurnTrace) -> None:
        async with aclosing(model.stream(self.prompt, trace)) as deltas:
            async for delta in deltas:
                if delta.retracts:  # `Reply.finish` mends what was shown
                    self.parts.clear()
                if self.thinking is not None and (quote := self.thinking.extend(delta)):
                    await reply.show(quote)
                if delta.text:
                    self.parts.append(delta.text)
                    await reply.show(delta.text)
                self.usage = delta.usage or self.usage
                self.model = delta.model or self.model


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """Result of one stream: the turn as it ended, and the error if it failed."""

    turn: Turn
    stream: AnswerStream
    error: KeepthreadError | None = None

    @classmethod
    def of(cls, stream: AnswerStream, stop: StopSignal) -> GeneratedAnswer:
        """Answer of a stream that ended, or was stopped."""
        state: TurnState = "stopped" if stop.requested else "complete"
        turn = stream.turn.ended(state, stream.text, usage=stream.usage, model=stream.model)
        return cls(turn, stream)

    @classmethod
    def failed(cls, stream: AnswerStream, error: KeepthreadError) -> GeneratedAnswer:
        """Answer of a stream that failed: what was shown of it is no answer."""
        return cls(
            stream.turn.ended("failed", stream.text, note=type(error).__name__), stream, error
        )

    @property
    def shown(self) -> Turn:
        """The turn as it is shown: with the thinking above its answer, where that is shown."""
        thinking = self.stream.thinking
        if thinking is None or not thinking.text:
            return self.turn
        return replace(self.turn, answer=thinking.text + self.turn.answer)

    @property
    def first_seq(self) -> int:
        """Number of the first turn in its prompt; 0 after a failure, which says nothing of what fits."""
        return 0 if self.error else self.stream.prompt.first_seq
