"""Long polling: nothing is confirmed before it is taken in, and health tells each failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs
from telegram import Update

from adapters.telegram.api.client import make_client
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.settings import TelegramSettings
from adapters.telegram.transport.heartbeat import Heartbeat
from adapters.telegram.transport.polling import Polling
from bot.errors import StoreUnavailable
from tests.adapters.telegram.harness import ANNA, BEN
from tests.fakes.telegram.methods import METHODS
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until


@dataclass(slots=True)
class UpdateRecorder:
    """Update handler that records texts; it fails as often as told."""

    texts: list[str] = field(default_factory=list)
    failures: int = 0
    broken: str = ""

    async def handle(self, update: Update) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("no Redis")
        assert update.message is not None
        if update.message.text == self.broken:
            raise KeyError("a bug of ours")
        self.texts.append(update.message.text or "")


@asynccontextmanager
async def polling(
    telegram: TelegramServer,
    recorder: UpdateRecorder,
    *,
    token: str = "",
    poll_s: int = 1,
    read_s: float = 60,
) -> AsyncIterator[Heartbeat]:
    settings = TelegramSettings.load(
        telegram_bot_token=token or telegram.token, telegram_api_url=telegram.url
    )
    client, request = make_client(settings, RateLimiter())
    heartbeat = Heartbeat()
    heartbeat.start()
    loop = Polling(client, recorder.handle, heartbeat, poll_s=poll_s, wait_s=0.02, read_s=read_s)
    task = asyncio.create_task(loop.run())
    try:
        yield heartbeat
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await request.shutdown()


async def test_polling_is_ready_at_once_though_nobody_writes(telegram: TelegramServer) -> None:
    async with polling(telegram, UpdateRecorder(), poll_s=50) as heartbeat:
        await wait_until(lambda: heartbeat.health().ready)
        assert not heartbeat.error


async def test_updates_are_taken_in_order_and_then_confirmed(telegram: TelegramServer) -> None:
    for number in range(150):
        telegram.say((ANNA, BEN)[number % 2], ANNA, str(number))
    recorder = UpdateRecorder()
    async with polling(telegram, recorder) as heartbeat:
        await wait_until(lambda: not telegram.updates)
        assert recorder.texts == [str(number) for number in range(150)]
        assert heartbeat.health().ready


async def test_an_update_is_not_confirmed_while_memory_does_not_work(
    telegram: TelegramServer,
) -> None:
    first = telegram.push({"message": telegram.message(ANNA, ANNA, "one")})
    telegram.say(ANNA, ANNA, "two")
    recorder = UpdateRecorder(failures=1_000)
    async with polling(telegram, recorder) as heartbeat:
        await wait_until(lambda: recorder.failures < 997)
        assert telegram.confirmed < first
        assert "memory" in heartbeat.health().detail
        assert not heartbeat.health().ready
        recorder.failures = 0
        await wait_until(lambda: not telegram.updates)
        assert recorder.texts == ["one", "two"]
        await wait_until(lambda: heartbeat.health().ready)


async def test_an_update_that_was_not_taken_in_comes_to_the_next_process(
    telegram: TelegramServer,
) -> None:
    telegram.say(ANNA, ANNA, "one")
    recorder = UpdateRecorder(failures=1_000)
    async with polling(telegram, recorder):
        await wait_until(lambda: recorder.failures < 1_000)
    recorder.failures = 0
    async with polling(telegram, recorder):
        await wait_until(lambda: recorder.texts == ["one"])


async def test_a_second_process_with_the_same_token_is_named_as_the_reason(
    telegram: TelegramServer,
) -> None:
    description = "Conflict: terminated by other getUpdates request"
    telegram.fail("getUpdates", 409, description, times=3)
    with capture_logs() as logs:
        recorder = UpdateRecorder()
        async with polling(telegram, recorder) as heartbeat:
            await wait_until(lambda: "Another process polls" in heartbeat.health().detail)
            telegram.say(ANNA, ANNA, "after all")
            await wait_until(lambda: recorder.texts == ["after all"])
            await wait_until(lambda: heartbeat.health().ready)
    assert any("Stop the other process" in line.get("cure", "") for line in logs)


async def test_two_pollers_take_turns_and_neither_dies(telegram: TelegramServer) -> None:
    first, second = UpdateRecorder(), UpdateRecorder()
    async with polling(telegram, first), polling(telegram, second):
        await wait_until(lambda: telegram.polls > 6)
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: "hello" in first.texts + second.texts)


async def test_a_webhook_that_was_set_elsewhere_is_removed(telegram: TelegramServer) -> None:
    recorder = UpdateRecorder()
    async with polling(telegram, recorder):
        await wait_until(lambda: telegram.polls)
        telegram.webhook = {"url": "https://elsewhere.example/hook"}
        await wait_until(lambda: not telegram.webhook)
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: recorder.texts == ["hello"])


async def test_a_revoked_token_is_reported_without_showing_it(telegram: TelegramServer) -> None:
    secret = "7000:" + "AAbbCC" * 5
    with capture_logs() as logs:
        async with polling(telegram, UpdateRecorder(), token=secret) as heartbeat:
            await wait_until(lambda: "refuses the token" in heartbeat.health().detail)
            detail = heartbeat.health().detail
    assert "@BotFather" in detail
    assert secret not in detail + repr(logs)


async def test_a_token_that_is_given_back_works_again_without_a_restart(
    telegram: TelegramServer,
) -> None:
    telegram.fail("getUpdates", 401, "Unauthorized", times=3)
    recorder = UpdateRecorder()
    async with polling(telegram, recorder) as heartbeat:
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: recorder.texts == ["hello"])
        await wait_until(lambda: heartbeat.health().ready)


async def test_a_lost_connection_is_reported_and_restored(telegram: TelegramServer) -> None:
    recorder = UpdateRecorder()
    async with polling(telegram, recorder) as heartbeat:
        await wait_until(lambda: telegram.polls)
        await telegram.stop()
        await wait_until(lambda: "cannot be reached" in heartbeat.health().detail)
        await telegram.start()
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: recorder.texts == ["hello"])
        await wait_until(lambda: heartbeat.health().ready)


async def test_a_poll_that_is_never_answered_is_given_up(telegram: TelegramServer) -> None:
    telegram.hang("getUpdates")
    recorder = UpdateRecorder()
    async with polling(telegram, recorder, read_s=0.3) as heartbeat:
        await wait_until(lambda: "cannot be reached" in heartbeat.health().detail)
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: recorder.texts == ["hello"])


@pytest.mark.parametrize(
    ("status", "words"), [(502, "Bad Gateway"), (500, "Internal Server Error")]
)
async def test_a_failing_bot_api_is_waited_for(
    telegram: TelegramServer, status: int, words: str
) -> None:
    telegram.fail("getUpdates", status, words, times=2)
    recorder = UpdateRecorder()
    async with polling(telegram, recorder):
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: recorder.texts == ["hello"])


async def test_updates_whose_response_was_lost_come_again(telegram: TelegramServer) -> None:
    telegram.say(ANNA, ANNA, "hello")
    telegram.lose_response("getUpdates")
    recorder = UpdateRecorder()
    async with polling(telegram, recorder):
        await wait_until(lambda: recorder.texts == ["hello"])


async def test_one_broken_update_stops_no_other(telegram: TelegramServer) -> None:
    telegram.say(ANNA, ANNA, "one")
    telegram.push({"message": {"message_id": "what?", "chat": None}})
    telegram.say(ANNA, ANNA, "breaks")
    telegram.push({"something_of_the_future": {"a": 1}})
    telegram.say(ANNA, ANNA, "two")
    recorder = UpdateRecorder(broken="breaks")
    with capture_logs() as logs:
        async with polling(telegram, recorder):
            await wait_until(lambda: not telegram.updates)
    assert recorder.texts == ["one", "two"]
    assert sum(line["event"] == "update dropped" for line in logs) == 3


async def test_a_response_that_is_no_list_is_waited_out(
    telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nonsense(*_: object) -> object:
        return {"update_id": 1}

    recorder = UpdateRecorder()
    with monkeypatch.context() as patch:
        patch.setitem(METHODS, "getUpdates", nonsense)
        async with polling(telegram, recorder) as heartbeat:
            await wait_until(lambda: "no list" in heartbeat.health().detail)
            patch.undo()
            telegram.say(ANNA, ANNA, "hello")
            await wait_until(lambda: recorder.texts == ["hello"])


async def test_a_flood_of_polls_waits_as_long_as_it_is_told(telegram: TelegramServer) -> None:
    telegram.fail("getUpdates", 429, "Too Many Requests: retry after 0.1", retry_after=0.1)
    recorder = UpdateRecorder()
    async with polling(telegram, recorder):
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: recorder.texts == ["hello"])


async def test_every_kind_of_update_that_is_handled_is_asked_for(
    telegram: TelegramServer,
) -> None:
    async with polling(telegram, UpdateRecorder()):
        await wait_until(lambda: telegram.polls)
    assert {"message", "edited_message", "callback_query", "message_reaction"} <= set(
        telegram.allowed
    )
