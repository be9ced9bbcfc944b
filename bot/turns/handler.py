"""The mission sentence: read the history, ask the model, write the turn, hand the answer over."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from bot.conversation import Turn
from bot.errors import (
    FailedBefore,
    KeepthreadError,
    ModelError,
    Overtaken,
    PlatformBusy,
    StoreError,
)
from bot.memory.compaction import Compactor
from bot.ports import (
    Delivery,
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
from bot.turns.answer_stream import AnswerStream
from bot.turns.stop_signal import StopSignal

log = structlog.get_logger("keepthread.handler")

NOT_REMEMBERED = "_My memory is not working: I will not remember this answer._"
PERHAPS_TWICE = "_(I was interrupted: you may have seen this answer already.)_"


@dataclass(frozen=True, slots=True)
class Request:
    """A turn to be answered, and how.

    Attributes:
        fence: the worker's token; an older one writes nothing. 0: no worker.
        images: `data:` addresses of pictures in the new message.
        replaces: id of the turn whose answer this one is to replace (`retry`).
        may_retry: raise what may pass by itself, if nothing was shown, rather than tell the person.
    """

    turn: Turn
    fence: int = 0
    images: tuple[str, ...] = ()
    replaces: str = ""
    may_retry: bool = False


@dataclass(slots=True)
class Handler:
    """Answers turns.

    Attributes:
        write_patience_s: how long writing a turn is tried again before its answer is handed over unremembered.
    """

    history: History
    model: Model
    tracer: Tracer
    context: PromptBuilder
    compactor: Compactor
    write_patience_s: float = 5

    async def answer(self, request: Request, reply: Reply, stop: StopSignal | None = None) -> Turn:
        """Remember, think, remember again, then hand over. A failed thought is never remembered as an answer.

        Returns:
            The turn as it ended; its state says how.

        Raises:
            Overtaken: a reset or another worker came first; nothing was written.
            PlatformError: it is written, but could not be handed over.
            KeepthreadError: what may pass by itself, with `may_retry` only.
        """
        turn, started_at = request.turn, datetime.now(UTC)
        try:
            await reply.set_status("thinking")
            past = await self.history.read(turn.session, turn_id=turn.id, fence=request.fence)
            if past.known is not None:
                return await self._deliver_again(past.known, request, reply)
            turn = replace(turn, conversation_id=past.conversation_id, generation=past.generation)
            async with self.tracer.turn(turn, started_at=started_at) as trace:
                turn = replace(turn, run_id=trace.run_id)
                async with trace.step("read history", started_at=started_at) as step:
                    step.end({"turns": len(past.window), "summary": bool(past.summary)})
                done = await self._think_and_tell(
                    replace(request, turn=turn), past, reply, trace, stop or StopSignal()
                )
                trace.end(done)
            return done
        except Overtaken:
            raise
        except StoreError as error:
            if request.may_retry and error.can_retry:
                raise
            log.warning("turn failed", turn=turn.id, error=repr(error))
            failed = turn.ended("failed", "", note=type(error).__name__)
            await reply.fail(failed, error)
            return failed
        finally:
            await reply.aclose()

    async def overhear(self, turn: Turn) -> None:
        """Remember what was said without answering it."""
        heard = turn.ended("overheard", "")
        await self.history.append(TurnWrite(heard, tokens=tokens_of(heard)))

    async def _think_and_tell(
        self,
        request: Request,
        past: HistorySnapshot,
        reply: Reply,
        trace: TurnTrace,
        stop: StopSignal,
    ) -> Turn:
        error: KeepthreadError | None = None
        thought: AnswerStream | None = None
        try:
            before = _without(past, request.replaces)
            prompt = self.context.build(before, request.turn, request.images)
            thought = AnswerStream(request.turn, before, prompt)
            await thought.run(self.model, self.context, reply, trace, stop)
        except ModelError as raised:
            shown = bool(thought and thought.pieces)
            if request.may_retry and raised.can_retry and not shown:
                raise
            error = raised
        except KeepthreadError as raised:
            error = raised
        done = _ended(request.turn, thought, error, stop)
        if error is not None:
            log.warning("turn failed", turn=done.id, error=repr(error), detail=error.detail)
            if not request.replaces:
                await self._remember(done, request, past, thought, trace)
            await reply.fail(done, error)
            return done
        if request.replaces and done.state == "stopped" and not done.answer:
            await reply.finish(done)  # stopped before its first word: the old answer stays
            return done
        remembered = await self._remember(done, request, past, thought, trace)
        try:
            delivery = await reply.finish(done)
        except (PlatformBusy, Overtaken):
            if remembered:  # it certainly did not arrive, so it is no repetition when it does
                await self._note(replace(done, handover="refused"), request.fence)
            raise
        if not remembered:
            await reply.post(NOT_REMEMBERED)
            return done
        done = await self._note_delivery(done, delivery, request.fence)
        if not request.replaces:  # no summary outlives a turn that is replaced
            self._fold_later(done, past, thought)
        return done

    async def _remember(
        self,
        done: Turn,
        request: Request,
        past: HistorySnapshot,
        thought: AnswerStream | None,
        trace: TurnTrace,
    ) -> bool:
        """Write the turn, trying for a while. False: it could not be written.

        Raises:
            Overtaken: it must not be written.
        """
        # A prompt that failed says nothing of what fits.
        first_seq = thought.prompt.first_seq if thought and done.state != "failed" else 0
        calibration = _calibrated(past, thought) if thought else 0
        give_up_at = time.monotonic() + self.write_patience_s
        delay_s = 0.05
        async with trace.step("write history") as step:
            while True:
                try:
                    await self.history.append(
                        TurnWrite(
                            done,
                            tokens=tokens_of(done),
                            first_seq=first_seq,
                            calibration=calibration,
                            fence=request.fence,
                            replaces=request.replaces,
                        )
                    )
                    step.end({"state": done.state})
                    return True
                except Overtaken:
                    raise
                except StoreError as error:
                    if not error.can_retry or time.monotonic() + delay_s > give_up_at:
                        log.error("turn not remembered", turn=done.id, error=repr(error))
                        step.end({"state": "not written"})
                        return False
                    await asyncio.sleep(delay_s)
                    delay_s = min(1, delay_s * 2)

    async def _deliver_again(self, known: Turn, request: Request, reply: Reply) -> Turn:
        """A redelivery of a turn that is written: call no model, hand over unless that was done."""
        if known.answer_ids or known.handover == "repeated" or known.state == "overheard":
            return known
        there = await reply.find_delivery(known)
        if there is not None:
            return await self._note_delivery(known, there, request.fence)
        is_new = known.handover == "refused"
        # Noted before it is tried, so that a crash in between repeats it once and no more.
        marked = replace(known, handover="" if is_new else "repeated")
        await self.history.append(TurnWrite(marked, tokens=tokens_of(known), fence=request.fence))
        text = f"{PERHAPS_TWICE}\n\n{known.answer}" if known.answer else PERHAPS_TWICE
        try:
            if known.state == "failed":
                await reply.fail(known, FailedBefore(known.note))
                return known
            delivery = await reply.finish(known if is_new else replace(known, answer=text))
        except PlatformBusy:
            await self._note(known, request.fence)  # it did not arrive, so it was not tried
            raise
        return await self._note_delivery(known, delivery, request.fence)

    async def _note_delivery(self, done: Turn, delivery: Delivery, fence: int) -> Turn:
        """Keep the ids of the answer's messages: they prove its delivery and lead from a reaction to it."""
        if not delivery.message_ids:
            return done
        done = replace(done, answer_ids=delivery.message_ids)
        await self._note(done, fence, immediate=True)
        return done

    async def _note(self, done: Turn, fence: int, *, immediate: bool = False) -> None:
        try:
            await self.history.append(
                TurnWrite(done, tokens=tokens_of(done), fence=fence, immediate=immediate)
            )
        except StoreError as error:
            log.warning("delivery not noted", turn=done.id, error=repr(error))

    def _fold_later(self, done: Turn, past: HistorySnapshot, thought: AnswerStream | None) -> None:
        """Let old turns be folded away if the window is full now; nobody waits for it."""
        if thought is None:
            return
        first = max(past.first_seq, thought.prompt.first_seq)
        window = tuple(item for item in past.window if item.seq >= first)
        new = StoredTurn(past.next_seq, done, tokens_of(done))
        now = replace(past, first_seq=first, window=(*window, new), next_seq=past.next_seq + 1)
        self.compactor.schedule(done.session, now)


def _ended(
    turn: Turn, thought: AnswerStream | None, error: KeepthreadError | None, stop: StopSignal
) -> Turn:
    text = thought.text if thought else ""
    if error is not None:
        return turn.ended("failed", text, note=type(error).__name__)
    return turn.ended(
        "stopped" if stop.requested else "complete",
        text,
        usage=thought.usage if thought else None,
        model=thought.model if thought else "",
    )


def _without(past: HistorySnapshot, turn_id: str) -> HistorySnapshot:
    if not turn_id:
        return past
    return replace(past, window=tuple(item for item in past.window if item.turn.id != turn_id))


def _calibrated(past: HistorySnapshot, thought: AnswerStream) -> float:
    """The provider's count over ours, smoothed; 0 if nothing was learned."""
    usage, estimate = thought.usage, thought.prompt.tokens
    has_images = bool(thought.prompt.messages[-1].images)
    if usage is None or has_images or estimate < 500 or not usage.input_tokens:
        return 0
    return 0.5 * past.calibration + 0.5 * usage.input_tokens / estimate
