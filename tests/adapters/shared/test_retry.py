"""Retry of calls that were certainly not executed."""

from __future__ import annotations

import math

import pytest

from adapters.shared.retry import OutcomeUnknown, retry_call
from bot.errors import PlaceGone, PlatformBusy, PlatformError, PlatformUnreachable


class Call:
    """Raises `failures`, one a try, then returns the number of tries."""

    def __init__(self, *failures: PlatformError) -> None:
        self.failures = list(failures)
        self.tries = 0

    async def __call__(self) -> int:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.tries


NOT_DONE = PlatformUnreachable("no connection")
UNKNOWN = OutcomeUnknown("no response")


async def test_a_call_that_was_certainly_not_done_is_tried_again() -> None:
    assert await retry_call(Call(NOT_DONE, NOT_DONE), pause_s=0) == 3


async def test_a_call_that_may_have_been_done_is_not_tried_again() -> None:
    call = Call(UNKNOWN)
    with pytest.raises(OutcomeUnknown):
        await retry_call(call, pause_s=0)
    assert call.tries == 1


async def test_a_repeatable_call_is_tried_again_though_it_may_have_been_done() -> None:
    assert await retry_call(Call(UNKNOWN, NOT_DONE), is_repeatable=True, pause_s=0) == 3


@pytest.mark.parametrize("error", [PlatformBusy(), PlaceGone(), PlatformError("bad request")])
async def test_a_refused_call_is_not_tried_again(error: PlatformError) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        await retry_call(call, is_repeatable=True, pause_s=0)
    assert call.tries == 1


async def test_the_last_try_raises_its_error() -> None:
    call = Call(NOT_DONE, NOT_DONE, NOT_DONE)
    with pytest.raises(PlatformUnreachable, match="no connection"):
        await retry_call(call, tries=3, pause_s=0)
    assert call.tries == 3


async def test_no_try_begins_after_give_up_at() -> None:
    call = Call(NOT_DONE)
    with pytest.raises(PlatformUnreachable):
        await retry_call(call, pause_s=0, give_up_at=-math.inf)
    assert call.tries == 1
