"""Answers one turn: reads the history, calls the model, writes the turn, hands the answer over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import structlog

from bot.conversation import Turn
from bot.errors import KeepthreadError, ModelError, ModelSetupError, Overtaken, StoreError
from bot.memory.compaction import Compactor
from bot.ports import (
    History,
    HistorySnapshot,
    Model,
    Reply,
    StoredTurn,
    Tracer,
    TurnTrace,
    TurnWrite,
)
from bot.prompt.builder import PromptBuilder
from bot.prompt.transcript import tokens_of
from bot.turns.answer_stream import AnswerStream, GeneratedAnswer
from bot.turns.delivery import AlreadyWritten, deliver, deliver_unremembered, redeliver
from bot.turns.replacement import keeps_old_answer, without_replaced_turn
from bot.turns.request import Request
from bot.turns.stop_signal import StopSignal
from bot.turns.thinking_quote import ThinkingQuote
from bot.turns.writing import write_with_retries

log = structlog.get_logger("keepthread.turns")

WriteResult = Literal["written", "old answer kept", "memory down"]


@dataclass(slots=True)
class Handler:
    """Answers turns. `answer` is the mission, `handle` is it with its special cases.

    Attributes:
        retry_write_for_s: how long the write of a turn is tried again before its answer is handed over
            unremembered.
        show_thinking: whether people see what the model thinks before its answer.
    """

    history: History
    model: Model
    tracer: Tracer
    prompt_builder: PromptBuilder
    compactor: Compactor
    retry_write_for_s: float = 5
    show_thinking: bool = False

    async def handle(self, request: Request, reply: Reply, stop: StopSignal | None = None) -> Turn:
        """Answer a turn, or deliver it again, or say that memory is down; close `reply`.

        Returns:
            The turn as it ended; its state says how.

        Raises:
            Overtaken: a reset or another worker came first; nothing was written.
            PlatformError: it is written, but could not be handed over.
            KeepthreadError: an error that may pass by itself, with `may_retry` only.
        """
        try:
            return await self._answer_or_redeliver(request, reply, stop or StopSignal())
        except Overtaken:
            raise
        except StoreError as error:
            if request.may_retry and error.can_retry:
                raise
            return await _report_memory_down(request, error, reply)
        finally:
            await reply.aclose()

    async def answer(self, request: Request, reply: Reply, stop: StopSignal) -> Turn:
        """Read the history, call the model, write the turn, hand the answer over.

        Raises:
            AlreadyWritten: the turn is in history.
            KeepthreadError: see `handle`.
        """
        started_at = datetime.now(UTC)
        await reply.set_status("thinking")
        past = await self._read_history(request)
        async with self._trace(request, past, started_at) as (request, trace):
            answer = await self._call_model(request, past, reply, trace, stop)
            written = await self._write_turn(request, answer, trace)
            turn = await self._hand_over(request, past, answer, written, reply)
            trace.end(turn)
        return turn

    async def overhear(self, turn: Turn) -> None:
        """Remember messages that are not for the bot; they get no answer."""
        overheard = turn.ended("overheard", "")
        await self.history.append(TurnWrite(overheard, tokens=tokens_of(overheard)))

    async def _answer_or_redeliver(self, request: Request, reply: Reply, stop: StopSignal) -> Turn:
        try:
            return await self.answer(request, reply, stop)
        except AlreadyWritten as found:
            return await redeliver(self.history, found.turn, request.fence, reply)

    async def _read_history(self, request: Request) -> HistorySnapshot:
        turn = request.turn
        past = await self.history.read(turn.session, turn_id=turn.id, fence=request.fence)
        if past.known is not None:
            raise AlreadyWritten(past.known)
        return past

    @asynccontextmanager
    async def _trace(
        self, request: Request, past: HistorySnapshot, started_at: datetime
    ) -> AsyncIterator[tuple[Request, TurnTrace]]:
        """Trace of the turn, and the request with what its turn has now: conversation and run id."""
        turn = replace(
            request.turn, conversation_id=past.conversation_id, generation=past.generation
        )
        async with self.tracer.turn(turn, started_at=started_at) as trace:
            async with trace.step("read history", started_at=started_at) as step:
                step.end({"turns": len(past.window), "summary": bool(past.summary)})
            yield replace(request, turn=replace(turn, run_id=trace.run_id)), trace

    async def _call_model(
        self,
        request: Request,
        past: HistorySnapshot,
        reply: Reply,
        trace: TurnTrace,
        stop: StopSignal,
    ) -> GeneratedAnswer:
        """Stream the answer, and show it as it grows. A failure is an answer with an error."""
        stream = AnswerStream(
            request.turn,
            without_replaced_turn(past, request),
            request.images,
            thinking=ThinkingQuote() if self.show_thinking else None,
        )
        try:
            await stream.run(self.model, self.prompt_builder, reply, trace, stop)
        except KeepthreadError as error:
            if _is_left_to_inbox(request, stream, error):
                raise
            report = log.error if isinstance(error, ModelSetupError) else log.warning
            report(
                "turn failed",
                turn=request.turn.id,
                error=repr(error),
                detail=error.detail,
                cure=error.cure,
            )
            return GeneratedAnswer.failed(stream, error)
        return GeneratedAnswer.of(stream, stop)

    async def _write_turn(
        self, request: Request, answer: GeneratedAnswer, trace: TurnTrace
    ) -> WriteResult:
        """Write the turn, failed ones too, unless an old answer stays in its place. Raises Overtaken."""
        if keeps_old_answer(request, answer):
            return "old answer kept"
        write = TurnWrite(
            answer.turn,
            tokens=tokens_of(answer.turn),
            first_seq=answer.first_seq,
            fence=request.fence,
            replaces=request.replaces,
        )
        if learned := answer.stream.calibration():
            write = replace(write, calibration=learned.ratio, proven=learned.proven)
        async with trace.step("write history") as step:
            is_written = await write_with_retries(
                self.history, write, retry_for_s=self.retry_write_for_s
            )
            step.end({"state": answer.turn.state if is_written else "not written"})
        return "written" if is_written else "memory down"

    async def _hand_over(
        self,
        request: Request,
        past: HistorySnapshot,
        answer: GeneratedAnswer,
        written: WriteResult,
        reply: Reply,
    ) -> Turn:
        """Give the person the whole answer, or the error. Raises PlatformError, Overtaken."""
        if answer.error is not None:
            await reply.fail(answer.turn, answer.error)
            return answer.turn
        match written:
            case "written":
                turn = await deliver(self.history, answer.turn, request.fence, reply, answer.shown)
                if not request.replaces:  # a summary would keep the turn that was replaced
                    self._fold_later(past, turn, answer.stream.prompt.first_seq)
                return turn
            case "memory down":
                return await deliver_unremembered(answer.shown, reply)
            case "old answer kept":
                await reply.finish(answer.shown)
                return answer.turn

    def _fold_later(self, past: HistorySnapshot, turn: Turn, first_seq: int) -> None:
        """Start to fold old turns away if the window is full now; the turn does not wait for it."""
        first_seq = max(past.first_seq, first_seq)
        window = tuple(item for item in past.window if item.seq >= first_seq)
        new = StoredTurn(past.next_seq, turn, tokens_of(turn))
        now = replace(past, first_seq=first_seq, window=(*window, new), next_seq=past.next_seq + 1)
        self.compactor.schedule(turn.session, now)


def _is_left_to_inbox(request: Request, stream: AnswerStream, error: KeepthreadError) -> bool:
    """Whether the inbox tries the turn again: the model may work then, and nothing was shown yet."""
    may_pass = isinstance(error, ModelError) and error.can_retry
    return request.may_retry and may_pass and not stream.parts


async def _report_memory_down(request: Request, error: StoreError, reply: Reply) -> Turn:
    """Say that memory is down: nothing was asked of the model. Raises PlatformError."""
    log.warning("turn failed", turn=request.turn.id, error=repr(error))
    failed = request.turn.ended("failed", "", note=type(error).__name__)
    await reply.fail(failed, error)
    return failed
