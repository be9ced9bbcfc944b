"""Delivery of a written answer: receipts, and the redelivery of a turn that is already in history."""

from __future__ import annotations

from dataclasses import replace

import structlog

from bot.conversation import Turn
from bot.errors import FailedBefore, Overtaken, PlatformBusy, StoreError
from bot.ports import Delivery, History, Reply, TurnWrite
from bot.prompt.transcript import tokens_of

log = structlog.get_logger("keepthread.turns")

NOT_REMEMBERED = "_My memory is not working: I will not remember this answer._"
PERHAPS_TWICE = "_(I was interrupted: you may have seen this answer already.)_"


class AlreadyWritten(Exception):
    """The turn to be answered is in history: the inbox delivered it again.

    Attributes:
        turn: the turn as history holds it.
    """

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn.id)
        self.turn = turn


async def deliver(history: History, turn: Turn, fence: int, reply: Reply, shown: Turn) -> Turn:
    """Hand over the answer of a turn that was just written. Returns the turn with its receipt.

    Args:
        shown: the turn as its person sees it.

    Raises:
        PlatformError, Overtaken: it was not handed over; `redeliver` can.
    """
    try:
        delivery = await reply.finish(shown)
    except (PlatformBusy, Overtaken):
        # It certainly did not arrive, so it is no repetition when it does.
        await _note(history, replace(turn, handover="refused"), fence)
        raise
    return await _note_receipt(history, turn, delivery, fence)


async def deliver_unremembered(turn: Turn, reply: Reply) -> Turn:
    """Hand over an answer that could not be written, and say so. Raises PlatformError."""
    await reply.finish(turn)
    await reply.post(NOT_REMEMBERED)
    return turn


async def redeliver(history: History, turn: Turn, fence: int, reply: Reply) -> Turn:
    """Hand over a turn that was written before, unless that was done; the model is not asked again.

    Only a receipt, or the note that an attempt succeeded, proves that it was done: an attempt that was
    begun does not. So an attempt that ends with its process is made again, as often as the inbox tries.

    Raises:
        PlatformError, Overtaken: it was not handed over.
        StoreError: the attempt could not be noted, so it was not made.
    """
    if turn.answer_ids or turn.handover == "delivered" or turn.state == "overheard":
        return turn
    found = await reply.find_delivery(turn)
    if found is not None:
        return await _note_receipt(history, turn, found, fence)
    never_arrived = turn.handover == "refused"
    # Noted before the attempt: whatever comes after a crash during it says that it may be a repetition.
    attempt = replace(turn, handover="" if never_arrived else "repeated")
    await history.append(TurnWrite(attempt, tokens=tokens_of(turn), fence=fence))
    try:
        if turn.state == "failed":
            await reply.fail(turn, FailedBefore(turn.note))
            return await _note_receipt(history, turn, Delivery(), fence)
        delivery = await reply.finish(turn if never_arrived else _marked_as_repeated(turn))
    except (PlatformBusy, Overtaken):
        await _note(history, turn, fence)  # it did not arrive: the attempt does not count
        raise
    return await _note_receipt(history, turn, delivery, fence)


def _marked_as_repeated(turn: Turn) -> Turn:
    return replace(
        turn, answer=f"{PERHAPS_TWICE}\n\n{turn.answer}" if turn.answer else PERHAPS_TWICE
    )


async def _note_receipt(history: History, turn: Turn, delivery: Delivery, fence: int) -> Turn:
    """Keep the ids of the answer's messages: they prove its delivery, and lead from a reaction to it.

    Without ids the delivery itself is noted.
    """
    if delivery.message_ids:
        turn = replace(turn, answer_ids=delivery.message_ids)
    else:
        turn = replace(turn, handover="delivered")
    await _note(history, turn, fence, immediate=True)
    return turn


async def _note(history: History, turn: Turn, fence: int, *, immediate: bool = False) -> None:
    try:
        await history.append(
            TurnWrite(turn, tokens=tokens_of(turn), fence=fence, immediate=immediate)
        )
    except StoreError as error:
        log.warning("delivery not noted", turn=turn.id, error=repr(error))
