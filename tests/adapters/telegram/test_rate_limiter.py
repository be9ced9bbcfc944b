"""Rate limits: the chats and the bot as a whole keep to what Telegram allows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from adapters.shared.rate_limit import Priority
from adapters.telegram.api.rate_limiter import NoCapacity, RateLimiter
from bot.errors import (
    PlatformBusy,
)
from tests.adapters.telegram.harness import (
    ANNA,
    GROUP,
)
from tests.adapters.telegram.outbound_harness import OutboundHarness, open_outbound, turn
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


async def test_ten_answers_at_once_all_arrive_and_ignore_no_429(
    telegram: TelegramServer,
) -> None:
    telegram.flood.chat_interval_s = 0.1
    async with open_outbound(telegram, RateLimiter(0.1, 500)) as outbound:

        async def answer(number: int) -> None:
            reply = outbound.reply(GROUP, pace_s=0.1)
            await reply.set_status("thinking")
            for piece in ("The ", "answer ", f"{number}"):
                await reply.show(piece)
            await reply.finish(turn(f"The answer {number}"))

        await asyncio.gather(*(answer(number) for number in range(10)))
    assert sorted(telegram.texts(GROUP)) == sorted(f"The answer {n}" for n in range(10))
    assert telegram.flood.ignored == 0


async def test_a_flood_ban_is_waited_out_and_then_the_answer_arrives(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessage", 429, "Too Many Requests: retry after 0.3", retry_after=0.3)
    await outbound.reply(ANNA).finish(turn("after all"))
    assert telegram.texts(ANNA) == ["after all"]
    assert (len(telegram.called("sendMessage")), telegram.flood.ignored) == (2, 0)


async def test_a_paused_chat_gets_nothing_and_other_chats_go_on(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessage", 429, "Too Many Requests: retry after 1", retry_after=1)
    first = asyncio.create_task(outbound.reply(GROUP).finish(turn("one")))
    await wait_until(lambda: outbound.limiter.limits_of(GROUP).lane.open_at)
    second = outbound.reply(GROUP)
    await second.set_status("thinking")
    await second.show("two")
    await outbound.reply(ANNA).finish(turn("elsewhere"))
    assert telegram.texts(ANNA) == ["elsewhere"]
    assert not first.done()
    assert telegram.chat(GROUP).actions == []
    await first
    await second.finish(turn("two"))
    assert telegram.texts(GROUP) == ["one", "two"]
    assert telegram.flood.ignored == 0


async def test_a_ban_longer_than_the_longest_wait_is_raised_with_its_time(
    telegram: TelegramServer,
) -> None:
    telegram.fail("sendMessage", 429, "Too Many Requests: retry after 7740", retry_after=7740)
    async with open_outbound(telegram) as outbound:
        for _ in range(2):
            with pytest.raises(PlatformBusy) as raised:
                await outbound.reply(ANNA).finish(turn("hello"))
            assert raised.value.retry_after_s is not None
            assert 7_700 < raised.value.retry_after_s <= 7_741
    assert len(telegram.called("sendMessage")) == 1, "nobody knocks before the time is over"


async def test_typing_does_not_use_up_a_groups_minute(telegram: TelegramServer) -> None:
    async with open_outbound(telegram, RateLimiter(0.02, 3)) as outbound:
        for _ in range(10):
            await outbound.sender.bot.send_chat_action(GROUP, "typing")
        async with asyncio.timeout(50):  # else it would wait for the next minute
            for number in range(3):
                await outbound.reply(GROUP).finish(turn(f"answer {number}"))


class Clock:
    """Clock that a sleep moves on at once."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Calls:
    """Calls through a limiter on a clock of its own: the times at which they were let through."""

    limiter: RateLimiter
    clock: Clock
    sent_at: list[float] = field(default_factory=list)

    async def send(self, chat_id: int, priority: Priority = "required") -> None:
        async def record() -> None:
            self.sent_at.append(self.clock.now)

        await self.limiter.process_request(
            record, (), {}, "sendMessage", {"chat_id": chat_id}, priority
        )


@pytest.fixture
def calls() -> Calls:
    clock = Clock()
    return Calls(RateLimiter(timer=clock, sleep=clock.sleep), clock)


async def test_all_chats_together_stay_below_thirty_messages_a_second(calls: Calls) -> None:
    await asyncio.gather(*(calls.send(chat_id) for chat_id in range(100)))
    assert len(calls.sent_at) == 100
    assert all(later - at >= 1 for at, later in pairwise(calls.sent_at[::30]))


async def test_a_group_gets_its_next_message_when_the_minute_has_room(calls: Calls) -> None:
    for _ in range(41):
        await calls.send(GROUP)
    assert calls.sent_at[20] - calls.sent_at[0] >= 60
    assert calls.sent_at[40] - calls.sent_at[20] >= 60


async def test_a_best_effort_call_is_dropped_with_the_time_to_wait(calls: Calls) -> None:
    await calls.send(ANNA, "best_effort")
    with pytest.raises(NoCapacity) as dropped:
        await calls.send(ANNA, "best_effort")
    assert dropped.value.retry_after_s is not None
    await calls.clock.sleep(dropped.value.retry_after_s)
    await calls.send(ANNA, "best_effort")
    assert len(calls.sent_at) == 2


async def test_best_effort_calls_leave_half_of_a_groups_minute_to_answers(calls: Calls) -> None:
    for _ in range(10):
        await calls.send(GROUP, "best_effort")
        await calls.clock.sleep(2)
    with pytest.raises(NoCapacity) as dropped:
        await calls.send(GROUP, "best_effort")
    assert dropped.value.retry_after_s == pytest.approx(40, abs=1)
    for _ in range(10):
        await calls.send(GROUP)
    assert calls.sent_at[-1] - calls.sent_at[0] < 60


async def test_a_chat_that_is_idle_is_forgotten(calls: Calls) -> None:
    await calls.send(ANNA)
    await calls.clock.sleep(61)
    assert calls.limiter.limits_of(ANNA).is_idle(calls.clock.now)
