"""Executes one claimed turn: dispatches it by its kind, and turns errors into outcomes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from structlog.contextvars import bound_contextvars

from bot.commands import Call, Registry, Services
from bot.conversation import Incoming, SessionKey, Turn
from bot.errors import (
    KeepthreadError,
    ModelError,
    Overtaken,
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    StoreError,
)
from bot.inbox.claim import ClaimedTurn
from bot.memory.recent import RecentConversations
from bot.metrics import Metrics
from bot.ports import CommandButton, Connection
from bot.turns.preparation import TurnPreparation
from bot.turns.request import Request
from bot.turns.stop_signal import StopSignal
from bot.worker.leased_reply import LeasedReply
from bot.worker.leases import Lease
from bot.worker.outcome import MAX_BACKOFF_S, TurnOutcome, backoff_s

log = structlog.get_logger("keepthread.turns")

EXPECTS_ANSWER = ("message", "command")
"""Kinds of messages whose person waits for an answer."""
MISSING_PLATFORM_S = 5.0
"""Delay of a turn whose platform another process has to serve."""
LEASE_RACE_S = 0.5
"""Delay of a turn whose lease is in doubt."""
FEEDBACK_VALUES = ("up", "down")
EDITED = "You changed your question."
GIVEN_UP = (
    "I tried this several times and could not answer it. Please ask again, perhaps in other words."
)


@dataclass(slots=True)
class TurnExecutor:
    """Executes claimed turns.

    Attributes:
        services: memory, handler and rights, as commands use them.
        commands: chat commands.
        connections: the platforms of this process, by name.
        max_attempts: after so many tries a turn is given up.
    """

    services: Services
    commands: Registry
    connections: Mapping[str, Connection]
    preparation: TurnPreparation
    recent: RecentConversations
    metrics: Metrics
    max_attempts: int = 5

    async def execute(self, lease: Lease) -> TurnOutcome:
        """The outcome of a turn. Raises only CancelledError."""
        claimed = lease.turn
        if not claimed.incoming:
            return TurnOutcome("dead", reason="unreadable")
        platform = claimed.session.platform
        connection = self.connections.get(platform)
        if connection is None:
            log.warning("turn waits for a platform not configured here", platform=platform)
            return TurnOutcome("defer", MISSING_PLATFORM_S)
        started_at = time.monotonic()
        first = claimed.incoming[0]
        waited_s = time.time() - int(claimed.ids[0].partition("-")[0]) / 1e6
        self.metrics.start_wait.observe(max(0, waited_s))
        with bound_contextvars(
            session=claimed.lane,
            turn=_id_of(lease),
            event_id=first.event_id,
        ):
            reply = LeasedReply(connection.reply(claimed.incoming[-1].address), lease, self.metrics)
            try:
                outcome = await self._outcome_of(lease, reply)
            finally:
                await reply.aclose()
            self.metrics.turn_time.observe(time.monotonic() - started_at)
            log.info(
                "turn ended", outcome=outcome.outcome, tries=claimed.tries, reason=outcome.reason
            )
        return outcome

    async def _outcome_of(self, lease: Lease, reply: LeasedReply) -> TurnOutcome:
        """The outcome of the turn's dispatch, or of the error that it raised."""
        claimed = lease.turn
        max_tries = self.max_attempts
        if lease.stop.requested:
            max_tries += (
                1  # to deliver the stopped answer, and once only: that, too, can crash a worker
            )
        if claimed.tries > max_tries:
            return await self._give_up(lease, reply)
        try:
            return await self._dispatch(lease, reply)
        except Overtaken as error:
            if error.by_reset:
                return TurnOutcome("done", reason="overtaken")
            # If another worker has the turn, the inbox refuses both. If not, and yet the token is not the newest,
            # then a cluster's new primary has lost tokens and its clock is behind: only time helps.
            return TurnOutcome("defer" if error.by_worker else "retry", LEASE_RACE_S, "overtaken")
        except PlaceGone as error:
            log.warning("place gone", error=repr(error))
            return self._count(claimed.session, "gone", _outcome_of_gone_place(claimed, error))
        except KeepthreadError as error:
            return await self._outcome_of_error(lease, reply, error)
        except Exception as error:
            log.exception("turn failed unexpectedly")
            return await self._outcome_of_error(lease, reply, KeepthreadError(repr(error)))

    async def _dispatch(self, lease: Lease, reply: LeasedReply) -> TurnOutcome:
        """Answer, run, remember or amend: by the kind of the turn's messages."""
        claimed = lease.turn
        incoming = self._still_admitted(claimed.incoming)
        if not incoming:
            return self._count(claimed.session, "refused", TurnOutcome("done"))
        first = incoming[0]
        match first.kind:
            case "message":
                return await self._answer(Turn(_id_of(lease), incoming), lease, reply)
            case "overheard":
                await self._overhear(Turn(_id_of(lease), incoming), lease)
            case "command":
                await self._run_command(first, lease, reply)
            case "edit":
                await self._apply_edit(first, reply)
            case "delete":
                await self.services.history.delete_message(first.session, first.message_id)
            case "feedback":
                await self._record_feedback(first)
        return self._count(claimed.session, first.kind, TurnOutcome("done"))

    def _still_admitted(self, messages: tuple[Incoming, ...]) -> tuple[Incoming, ...]:
        """The messages whose speakers still have access; of commands it is asked as they run."""
        admitted = self.services.access.admitted
        return tuple(
            incoming
            for incoming in messages
            if incoming.kind in ("command", "delete")
            or admitted(incoming.address, incoming.speaker)
        )

    async def _answer(self, turn: Turn, lease: Lease, reply: LeasedReply) -> TurnOutcome:
        claimed = lease.turn
        connection = self.connections[claimed.session.platform]
        turn, images = await self._prepare(turn, connection, lease.stop)
        is_last = claimed.tries >= self.max_attempts
        request = Request(turn, claimed.token, images, may_retry=not is_last)
        done = await self.services.handler.handle(request, reply, lease.stop)
        await self.recent.record(done)
        if done.usage:
            self.metrics.count_tokens(done.model, done.usage)
        if done.state == "failed":
            self.metrics.model_failures.labels(done.note).inc()
        given_up = is_last and claimed.tries > 1 and done.state == "failed"
        outcome = TurnOutcome("dead" if given_up else "done", reason=done.note)
        return self._count(claimed.session, done.state, outcome)

    async def _overhear(self, turn: Turn, lease: Lease) -> None:
        """Remember messages that are not for the bot, with the texts of their documents."""
        if any(message.attachments for message in turn.incoming):
            connection = self.connections[turn.session.platform]
            reading = self.preparation.read_documents(turn, connection)
            turn = await lease.stop.run_until_stopped(reading) or turn
        await self.services.handler.overhear(turn)

    async def _prepare(
        self, turn: Turn, connection: Connection, stop: StopSignal
    ) -> tuple[Turn, tuple[str, ...]]:
        """The turn with its attachments read, and its pictures; without them if it is stopped meanwhile."""
        prepared = await stop.run_until_stopped(self.preparation.prepare(turn, connection))
        return prepared or (turn, ())

    async def _run_command(self, command: Incoming, lease: Lease, reply: LeasedReply) -> None:
        connection = self.connections[command.session.platform]
        call = Call(
            self.services,
            command,
            reply,
            id=_id_of(lease),
            item=lease.turn.ids[0],
            fence=lease.turn.token,
            stop=lease.stop,
            prepare=lambda turn: self._prepare(turn, connection, lease.stop),
        )
        await self.commands.run(call)

    async def _apply_edit(self, edit: Incoming, reply: LeasedReply) -> None:
        """Edit the message in memory; offer to answer it again if it was the latest question."""
        history = self.services.history
        before = await history.edit_message(edit.session, edit.message_id, edit.text)
        if before is None or before.state == "overheard":
            return
        edited = [old for old in before.incoming if old.message_id == edit.message_id]
        if all(old.text == edit.text for old in edited):
            return
        latest = (await history.read(edit.session)).question
        if latest and latest.turn.id == before.id:
            await reply.post_buttons(EDITED, [CommandButton("Answer again", "retry")])

    async def _record_feedback(self, feedback: Incoming) -> None:
        turn = await self.services.history.find(feedback.session, feedback.message_id)
        if turn is None or feedback.message_id not in turn.answer_ids:
            return  # a reaction to a message that is no answer
        # The value of a button can be forged.
        value = feedback.text if feedback.text in FEEDBACK_VALUES else "none"
        self.metrics.feedback.labels(value).inc()
        log.info("feedback", value=value, of=turn.id, run=turn.run_id, by=feedback.speaker.id)

    async def _outcome_of_error(
        self, lease: Lease, reply: LeasedReply, error: KeepthreadError
    ) -> TurnOutcome:
        claimed = lease.turn
        reason = f"{type(error).__name__}: {error}"
        if lease.is_lost:
            return TurnOutcome("retry", LEASE_RACE_S, reason)
        if isinstance(error, PlatformBusy) and (error.retry_after_s or 0) > MAX_BACKOFF_S:
            # A ban for so long is no failure of the turn: it waits, and holds no worker meanwhile.
            return TurnOutcome("defer", error.retry_after_s or 0, reason)
        may_pass = error.can_retry or isinstance(error, StoreError)
        if not may_pass and isinstance(error, PlatformError | ModelError):
            log.error("turn cannot be answered", error=repr(error), cure=error.cure)
            if isinstance(error, PlatformError) and not isinstance(error, PlatformRefused):
                await _post_notice(claimed, reply, error.user_text)
            return self._count(claimed.session, "failed", TurnOutcome("dead", reason=reason))
        if claimed.tries < self.max_attempts:
            return TurnOutcome("retry", backoff_s(claimed.fails, error), reason)
        return await self._give_up(lease, reply, error)

    async def _give_up(
        self, lease: Lease, reply: LeasedReply, error: KeepthreadError | None = None
    ) -> TurnOutcome:
        """Split a turn of several messages; else make it a dead letter, and tell its person."""
        claimed = lease.turn
        if len(claimed.incoming) > 1 and claimed.incoming[0].kind == "message":
            log.warning("turn split", lane=claimed.lane)
            return TurnOutcome("split")
        log.error("turn given up", tries=claimed.tries, error=repr(error) if error else "")
        await _post_notice(claimed, reply, GIVEN_UP)
        reason = f"{type(error).__name__}: {error}" if error else f"ended {claimed.crashes} workers"
        return self._count(claimed.session, "dead", TurnOutcome("dead", reason=reason))

    def _count(self, session: SessionKey, state: str, outcome: TurnOutcome) -> TurnOutcome:
        self.metrics.turns.labels(session.platform, state).inc()
        return outcome


async def _post_notice(claimed: ClaimedTurn, reply: LeasedReply, text: str) -> None:
    """Tell the person of a turn that is given up. Raises nothing of the platform's."""
    if claimed.incoming[0].kind not in EXPECTS_ANSWER:
        return
    try:
        await reply.post(text)
    except (PlatformError, Overtaken) as failure:
        log.warning("notice of a turn given up not posted", error=repr(failure))


def _outcome_of_gone_place(claimed: ClaimedTurn, error: PlaceGone) -> TurnOutcome:
    """A dead letter where a person waits for an answer: nobody can be told there, so the operator is."""
    if claimed.incoming[0].kind not in EXPECTS_ANSWER:
        return TurnOutcome("done")
    return TurnOutcome("dead", reason=f"{type(error).__name__}: {error}")


def _id_of(lease: Lease) -> str:
    return turn_id(lease.turn.session, lease.turn.first or lease.turn.ids[0])


def turn_id(session: SessionKey, item: str) -> str:
    """Id of the turn that begins with the message `item`: the same in every process, at every try."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{session}#{item}").hex
