"""What a worker does with a turn it has taken: answer, obey, overhear, amend, forget."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from structlog.contextvars import bound_contextvars

from bot.access import Authorizer
from bot.commands import COMMANDS, Call
from bot.commands.call import Services
from bot.conversation import Incoming, SessionKey, Turn
from bot.errors import (
    KeepthreadError,
    ModelError,
    Overtaken,
    PlaceGone,
    PlatformBusy,
    PlatformError,
    StoreError,
)
from bot.memory.history import RedisHistory
from bot.memory.recent import People
from bot.metrics import Metrics
from bot.ports import CommandButton, Connection
from bot.turns.handler import Handler, Request
from bot.turns.preparation import TurnPreparation
from bot.turns.stop_signal import StopSignal
from bot.worker.leased_reply import LeasedReply
from bot.worker.leases import Lease
from bot.worker.outcome import MAX_DELAY_S, TurnOutcome, _delay_s

log = structlog.get_logger("keepthread.turns")

ASKED = ("message", "command")
"""Kinds of what somebody waits for a word about."""
NO_ADAPTER_S = 5.0
VERDICTS = ("up", "down")
EDITED = "You changed your question."
GIVEN_UP = (
    "I tried this several times and could not answer it. Please ask again, perhaps in other words."
)


@dataclass(slots=True)
class TurnExecutor:
    """Runs taken turns.

    Attributes:
        connections: the platforms at work in this process, by name.
        services: what commands work with.
        max_attempts: after so many tries a turn is given up.
    """

    handler: Handler
    history: RedisHistory
    access: Authorizer
    services: Services
    connections: Mapping[str, Connection]
    preparation: TurnPreparation
    people: People
    metrics: Metrics
    max_attempts: int = 5

    async def run(self, lease: Lease) -> TurnOutcome:
        """Run a turn to its verdict. Raises only CancelledError."""
        taken = lease.turn
        if not taken.incoming:
            return TurnOutcome("dead", reason="unreadable")
        platform = taken.session.platform
        connection = self.connections.get(platform)
        if connection is None:
            log.warning(
                "a turn waits for a platform that is not configured here", platform=platform
            )
            return TurnOutcome("defer", NO_ADAPTER_S)
        started_at = time.monotonic()
        first = taken.incoming[0]
        waited_s = time.time() - int(taken.ids[0].partition("-")[0]) / 1e6
        self.metrics.start_wait.observe(max(0, waited_s))
        with bound_contextvars(
            session=taken.lane, turn=turn_id(taken.session, taken.ids[0]), event_id=first.event_id
        ):
            reply = LeasedReply(connection.reply(taken.incoming[-1].address), lease, self.metrics)
            try:
                verdict = await self._run(lease, reply)
            finally:
                await reply.aclose()
            self.metrics.turn_time.observe(time.monotonic() - started_at)
            log.info(
                "turn ended", outcome=verdict.outcome, tries=taken.tries, reason=verdict.reason
            )
        return verdict

    async def _run(self, lease: Lease, reply: LeasedReply) -> TurnOutcome:
        taken = lease.turn
        # A stopped one has one more: it only says so, and even that may end a worker.
        if taken.tries > self.max_attempts + lease.stop.requested:
            return await self._given_up(lease, reply)
        try:
            return await self._do(lease, reply)
        except Overtaken as error:
            if error.by_reset:
                return TurnOutcome("done", reason="overtaken")
            # If it is another worker's, the inbox refuses both. If it is ours and yet its token is not the
            # newest, a cluster's new primary has lost tokens and its clock is behind: only time helps.
            return TurnOutcome("defer" if error.by_worker else "retry", 0.5, "overtaken")
        except PlaceGone as error:
            log.warning("nobody can be answered there any more", error=repr(error))
            return self._counted(taken.session, "gone", TurnOutcome("done"))
        except KeepthreadError as error:
            return await self._failed(lease, reply, error)
        except Exception as error:
            log.exception("a turn failed in an unknown way")
            return await self._failed(lease, reply, KeepthreadError(repr(error)))

    async def _do(self, lease: Lease, reply: LeasedReply) -> TurnOutcome:
        taken = lease.turn
        # Asked again: rights may have been taken away since. Of commands it is asked as they run.
        incoming = tuple(
            one
            for one in taken.incoming
            if one.kind in ("command", "delete") or self.access.admitted(one.address, one.speaker)
        )
        if not incoming:
            return self._counted(taken.session, "refused", TurnOutcome("done"))
        one, connection = incoming[0], self.connections[taken.session.platform]
        match one.kind:
            case "message":
                return await self._answer(Turn(self._id(lease), incoming), lease, reply)
            case "overheard":
                await self.handler.overhear(Turn(self._id(lease), incoming))
            case "command":
                call = Call(
                    self.services, one, reply, id=self._id(lease), item=taken.ids[0],
                    fence=taken.token, stopper=lease.stop,
                    prepare=lambda turn: self._prepared(turn, connection, lease.stop),
                )  # fmt: skip
                await COMMANDS.run(call)
            case "edit":
                await self._edit(one, reply)
            case "delete":
                await self.history.delete_message(one.session, one.message_id)
            case "feedback":
                await self._feedback(one)
        return self._counted(taken.session, one.kind, TurnOutcome("done"))

    async def _answer(self, turn: Turn, lease: Lease, reply: LeasedReply) -> TurnOutcome:
        taken = lease.turn
        connection = self.connections[taken.session.platform]
        turn, images = await self._prepared(turn, connection, lease.stop)
        is_last = taken.tries >= self.max_attempts
        request = Request(turn, taken.token, images, may_retry=not is_last)
        done = await self.handler.answer(request, reply, lease.stop)
        await self.people.note(done)
        if done.usage:
            self.metrics.count_tokens(done.model, done.usage)
        given_up = is_last and taken.tries > 1 and done.state == "failed"
        return self._counted(
            taken.session, done.state, TurnOutcome("dead" if given_up else "done", reason=done.note)
        )

    async def _prepared(
        self, turn: Turn, connection: Connection, stop: StopSignal
    ) -> tuple[Turn, tuple[str, ...]]:
        """Who says stop waits for no attachment."""
        return await stop.run_until_stopped(self.preparation.prepare(turn, connection)) or (
            turn,
            (),
        )

    async def _edit(self, one: Incoming, reply: LeasedReply) -> None:
        """Memory follows; if it was the latest question, offer to answer it again."""
        was = await self.history.edit_message(one.session, one.message_id, one.text)
        if was is None or was.state == "overheard":
            return
        if all(one.text == old.text for old in was.incoming if old.message_id == one.message_id):
            return
        latest = (await self.history.read(one.session)).question
        if latest and latest.turn.id == was.id:
            await reply.post_buttons(EDITED, [CommandButton("Answer again", "retry")])

    async def _feedback(self, one: Incoming) -> None:
        turn = await self.history.find(one.session, one.message_id)
        if turn is None or one.message_id not in turn.answer_ids:
            return  # of something that somebody else said
        verdict = (
            one.text if one.text in VERDICTS else "none"
        )  # what a button carries can be forged
        self.metrics.feedback.labels(verdict).inc()
        log.info("feedback", verdict=verdict, of=turn.id, run=turn.run_id, by=one.speaker.id)

    async def _failed(
        self, lease: Lease, reply: LeasedReply, error: KeepthreadError
    ) -> TurnOutcome:
        taken = lease.turn
        reason = f"{type(error).__name__}: {error}"
        if lease.is_lost:
            return TurnOutcome("retry", 0.5, reason)
        if isinstance(error, PlatformBusy) and (error.retry_after_s or 0) > MAX_DELAY_S:
            # A ban for so long is no fault of the turn: it waits, and holds no worker meanwhile.
            return TurnOutcome("defer", error.retry_after_s or 0, reason)
        if error.can_retry or isinstance(error, StoreError):
            if taken.tries < self.max_attempts:
                return TurnOutcome("retry", _delay_s(taken.fails, error), reason)
        elif isinstance(error, PlatformError | ModelError):
            log.error("a turn cannot be answered", error=repr(error), cure=error.cure)
            return self._counted(taken.session, "failed", TurnOutcome("dead", reason=reason))
        elif taken.tries < self.max_attempts:
            return TurnOutcome("retry", _delay_s(taken.fails, error), reason)
        return await self._given_up(lease, reply, error)

    async def _given_up(
        self, lease: Lease, reply: LeasedReply, error: KeepthreadError | None = None
    ) -> TurnOutcome:
        """It was tried often enough: alone, if it was not; else it becomes a dead letter, and its person is told."""
        taken = lease.turn
        if len(taken.incoming) > 1 and taken.incoming[0].kind == "message":
            log.warning("a turn of several messages is split", lane=taken.lane)
            return TurnOutcome("split")
        log.error("a turn is given up", tries=taken.tries, error=repr(error) if error else "")
        if taken.incoming[0].kind in ASKED:
            try:
                await reply.post(GIVEN_UP)
            except (PlatformError, Overtaken) as failure:
                log.warning("its person could not be told", error=repr(failure))
        reason = f"{type(error).__name__}: {error}" if error else f"ended {taken.crashes} workers"
        return self._counted(taken.session, "dead", TurnOutcome("dead", reason=reason))

    def _counted(self, session: SessionKey, outcome: str, verdict: TurnOutcome) -> TurnOutcome:
        self.metrics.turns.labels(session.platform, outcome).inc()
        return verdict

    def _id(self, lease: Lease) -> str:
        return turn_id(lease.turn.session, lease.turn.ids[0])


def turn_id(session: SessionKey, item: str) -> str:
    """The same whenever the turn is run, in whichever process."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{session}#{item}").hex
