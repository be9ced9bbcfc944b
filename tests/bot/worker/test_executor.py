"""Outcome of a turn: done, retried, split or given up; and what its person reads of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from bot.conversation import Address, Attachment, Incoming, IncomingKind, SessionKey, Usage
from bot.errors import (
    KeepthreadError,
    ModelBusy,
    ModelKeyRefused,
    Overtaken,
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    StoreUnavailable,
)
from bot.inbox.claim import ClaimedTurn
from bot.memory.recent import RecentConversations
from bot.metrics import MAX_MODELS, Metrics
from bot.model.transcription import Transcriber
from bot.service.direct_core import DirectCore
from bot.settings import Settings
from bot.turns.preparation import TurnPreparation
from bot.wiring import Components, open_components
from bot.worker.executor import GIVEN_UP, MISSING_PLATFORM_S, TurnExecutor, turn_id
from bot.worker.leases import Lease
from bot.worker.outcome import MAX_BACKOFF_S, backoff_s
from tests.fakes.model_server import ModelServer, fail, say
from tests.support.handler_harness import RecordingReply
from tests.support.messages import KEY, make_message
from tests.support.service_harness import service_settings
from tests.support.wait import wait_until


@dataclass
class LoopConnection:
    """`Connection` of the loopback platform: every reply is the same recording reply."""

    recorded: RecordingReply = field(default_factory=RecordingReply)
    hangs: bool = False
    downloads: int = 0

    def reply(self, address: Address) -> RecordingReply:
        return self.recorded

    async def download(self, address: Address, attachment: Attachment, max_bytes: int) -> bytes:
        self.downloads += 1
        if self.hangs:
            await asyncio.Event().wait()
        return b"\x89PNG"


@dataclass
class ExecutorHarness:
    """An executor with real memory, a model server, and a reply that records."""

    executor: TurnExecutor
    bot: Components
    model: ModelServer
    connection: LoopConnection
    metrics: Metrics
    number: int = 0

    @property
    def reply(self) -> RecordingReply:
        return self.connection.recorded

    def lease(self, *incoming: Incoming, tries: int = 1, fails: int = 0) -> Lease:
        self.number += 1
        ids = tuple(f"{int(time.time() * 1e6)}-{self.number + n}" for n in range(len(incoming)))
        taken = ClaimedTurn(0, str(KEY), b"1-0", 0, tries, fails, ids, incoming)
        return Lease(taken, time.monotonic() + 600)

    async def run(self, *incoming: Incoming, **how: int) -> tuple[str, str]:
        """Outcome and reason of a turn."""
        outcome = await self.executor.execute(self.lease(*incoming, **how))
        return outcome.outcome, outcome.reason

    def counted(self, outcome: str) -> float:
        labels = {"platform": "loop", "outcome": outcome}
        return self.metrics.registry.get_sample_value("keepthread_turns_total", labels) or 0


@pytest.fixture
async def harness(settings: Settings) -> AsyncIterator[ExecutorHarness]:
    async with ModelServer() as model, open_components(service_settings(settings, model)) as bot:
        connection, metrics = LoopConnection(), Metrics()
        recent = RecentConversations(
            bot.store.client, settings.bot_redis_prefix, 1_000, bot.sessions
        )
        preparation = TurnPreparation(bot.history, Transcriber(settings), max_chars=1_000)
        executor = TurnExecutor(
            DirectCore(bot).services,
            bot.commands,
            {"loop": connection},
            preparation,
            recent,
            metrics,
            max_attempts=3,
        )
        yield ExecutorHarness(executor, bot, model, connection, metrics)


async def test_an_answered_turn_is_done_counted_and_recorded_as_recent(
    harness: ExecutorHarness,
) -> None:
    assert await harness.run(make_message("hello")) == ("done", "")
    assert harness.reply.texts("finish") == ["You said: hello"]
    assert harness.reply.calls[-1][0] == "aclose"
    assert harness.counted("complete") == 1
    labels = {"model": "gpt-5-mini", "kind": "output"}
    assert harness.metrics.registry.get_sample_value("keepthread_model_tokens_total", labels)
    (listed,) = await harness.executor.recent.conversations_of("loop", make_message("x").speaker)
    assert listed.session == KEY


def test_an_endpoint_with_a_new_name_for_each_answer_fills_no_metrics() -> None:
    metrics = Metrics()
    for number in range(MAX_MODELS + 5):
        metrics.count_tokens(f"model-{number}", Usage(10, 1))
    (family,) = metrics.tokens.collect()
    counts = {
        sample.labels["model"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["kind"] == "input"
    }
    assert len(counts) == MAX_MODELS + 1
    assert counts["other"] == 50


async def test_messages_that_came_together_are_one_turn(harness: ExecutorHarness) -> None:
    await harness.run(make_message("my name is Ada"), make_message("what is my name?"))
    assert len(harness.model.requests) == 1
    asked = harness.model.requests[0].messages[-1]["content"]
    assert asked == "my name is Ada\n\nwhat is my name?"


async def test_an_unreadable_turn_becomes_a_dead_letter(harness: ExecutorHarness) -> None:
    assert await harness.run() == ("dead", "unreadable")


async def test_a_turn_of_a_platform_not_configured_here_is_deferred(
    harness: ExecutorHarness,
) -> None:
    elsewhere = make_message("x", SessionKey("matrix", "A1", "C1"))
    outcome = await harness.executor.execute(harness.lease(elsewhere))
    assert (outcome.outcome, outcome.delay_s) == ("defer", MISSING_PLATFORM_S)


async def test_a_turn_is_refused_when_its_right_was_taken_away_meanwhile(
    harness: ExecutorHarness,
) -> None:
    harness.bot.access.allow = ("loop:A1/U2",)
    assert await harness.run(make_message("hello"), make_message("again")) == ("done", "")
    assert harness.counted("refused") == 1
    assert harness.model.requests == []
    assert not harness.reply.texts("finish")


async def test_an_overheard_message_is_not_remembered_when_its_right_was_taken_away(
    harness: ExecutorHarness,
) -> None:
    harness.bot.access.allow = ("loop:A1/U2",)
    assert await harness.run(make_message("psst", kind="overheard")) == ("done", "")
    assert harness.counted("refused") == 1
    assert (await harness.bot.history.read(KEY)).window == ()


async def test_messages_of_refused_speakers_are_left_out_of_a_turn(
    harness: ExecutorHarness,
) -> None:
    harness.bot.access.allow = ("loop:A1/U2",)
    other = make_message("let me in")
    welcome = replace(other, speaker=replace(other.speaker, id="U2"), text="hello")
    await harness.run(other, welcome)
    assert harness.reply.texts("finish") == ["You said: hello"]


ERRORS: list[tuple[Exception, int, str, str]] = [
    (StoreUnavailable("away"), 1, "retry", ""),
    (PlatformBusy("429"), 1, "retry", ""),
    (PlatformBusy("429"), 3, "dead", GIVEN_UP),
    (PlatformBusy("banned", retry_after_s=7_740), 3, "defer", ""),
    (PlatformRefused("token revoked"), 1, "dead", ""),
    (PlaceGone("kicked"), 1, "dead", ""),
    (PlatformError("the message is refused"), 1, "dead", PlatformError.sentence),
    (KeepthreadError("odd"), 1, "retry", ""),
    (ZeroDivisionError("a bug"), 1, "retry", ""),
    (ZeroDivisionError("a bug"), 3, "dead", GIVEN_UP),
    (Overtaken("reset", by_reset=True), 1, "done", ""),
    (Overtaken("frozen for too long"), 1, "retry", ""),
    (Overtaken("another worker", by_worker=True), 3, "defer", ""),
]


@pytest.mark.parametrize(("error", "tries", "outcome", "post"), ERRORS, ids=repr)
async def test_each_error_has_its_outcome(
    harness: ExecutorHarness, error: Exception, tries: int, outcome: str, post: str
) -> None:
    harness.reply.failures = [error]
    found, reason = await harness.run(make_message("hello"), tries=tries)
    assert (found, harness.reply.texts("post")) == (outcome, [post] if post else [])
    assert (reason != "") == (outcome != "done" or isinstance(error, Overtaken))
    assert harness.reply.calls[-1][0] == "aclose"


async def test_a_model_error_that_may_pass_is_retried_until_the_last_try_shows_it(
    harness: ExecutorHarness,
) -> None:
    harness.model.default = fail(429, "rate_limit_exceeded", retry_after_s=30)
    outcome = await harness.executor.execute(harness.lease(make_message("hello"), tries=1))
    assert (outcome.outcome, outcome.delay_s) == ("retry", 30)
    assert harness.reply.texts("fail") == []
    assert await harness.run(make_message("hello"), tries=3) == ("dead", ModelBusy.__name__)
    assert ["in about 30 seconds" in text for text in harness.reply.texts("fail")] == [True]
    assert harness.reply.texts("post") == [], "told once is enough"


async def test_a_model_error_that_waiting_does_not_mend_is_shown_at_once(
    harness: ExecutorHarness,
) -> None:
    harness.model.default = fail(401)
    assert await harness.run(make_message("hello"), tries=1) == ("done", ModelKeyRefused.__name__)
    assert harness.reply.texts("fail") == [ModelKeyRefused.sentence]
    counted = harness.metrics.registry.get_sample_value(
        "keepthread_model_failures_total", {"error": ModelKeyRefused.__name__}
    )
    assert counted == 1, "M12: the operator's problem is in a metric"


async def test_a_turn_that_crashed_its_workers_is_given_up_without_another_try(
    harness: ExecutorHarness,
) -> None:
    assert await harness.run(make_message("poison"), tries=4, fails=0) == (
        "dead",
        "ended 3 workers",
    )
    assert harness.model.requests == []
    assert harness.reply.texts("post") == [GIVEN_UP]


@pytest.mark.parametrize("kind", ["overheard", "edit", "delete", "feedback"])
async def test_a_turn_without_a_question_is_given_up_without_a_post(
    harness: ExecutorHarness, kind: IncomingKind
) -> None:
    assert (await harness.run(make_message("poison", kind=kind), tries=4))[0] == "dead"
    assert harness.reply.texts("post") == []


async def test_a_turn_that_is_behind_the_newest_token_waits_and_costs_no_try(
    harness: ExecutorHarness,
) -> None:
    """On a cluster the inbox can lose its last second, and find itself on a clock that is behind."""
    await harness.bot.history.read(KEY, fence=2_000)
    lease = harness.lease(make_message("hello"), tries=3)
    lease.turn = replace(lease.turn, token=1_999)
    assert (await harness.executor.execute(lease)).outcome == "defer"
    lease.turn = replace(lease.turn, token=2_001)
    assert (await harness.executor.execute(lease)).outcome == "done"
    assert harness.reply.texts("finish") == ["You said: hello"]


async def test_a_stop_waits_for_no_attachment(harness: ExecutorHarness) -> None:
    harness.connection.hangs = True
    voice = Attachment("document", "a.txt", "text/plain", "f1")
    lease = harness.lease(make_message("read this", attachments=(voice,)))
    running = asyncio.create_task(harness.executor.execute(lease))
    await wait_until(lambda: harness.connection.downloads)
    lease.stop.request()
    assert (await running).outcome == "done"
    assert harness.counted("stopped") == 1
    assert harness.model.requests == []


async def test_a_stopped_turn_is_not_given_up_with_an_apology(harness: ExecutorHarness) -> None:
    lease = harness.lease(make_message("hello"), tries=4)
    lease.stop.request()
    assert (await harness.executor.execute(lease)).outcome == "done"
    assert (harness.reply.texts("post"), harness.counted("stopped")) == ([], 1)
    lease = harness.lease(make_message("poison"), tries=5)
    lease.stop.request()
    assert (await harness.executor.execute(lease)).outcome == "dead", "but not for ever"


async def test_a_turn_of_several_messages_is_split_before_it_is_given_up(
    harness: ExecutorHarness,
) -> None:
    assert (await harness.run(make_message("poison"), make_message("innocent"), tries=4))[
        0
    ] == "split"
    assert harness.reply.texts("post") == [], "each of them has a try of its own first"


async def test_a_lost_lease_leaves_the_turn_to_its_new_worker(harness: ExecutorHarness) -> None:
    lease = harness.lease(make_message("hello"), tries=3)
    lease.is_lost = True
    assert (await harness.executor.execute(lease)).outcome == "retry"
    assert (
        not harness.reply.texts("finish")
        + harness.reply.texts("post")
        + harness.reply.texts("fail")
    )


def test_the_backoff_doubles_and_keeps_to_the_requested_time_within_bounds() -> None:
    waits = [backoff_s(fails, KeepthreadError()) for fails in range(8)]
    for fails, wait_s in enumerate(waits):
        assert min(MAX_BACKOFF_S, 0.75 * 2**fails) <= wait_s <= min(MAX_BACKOFF_S, 1.25 * 2**fails)
    assert backoff_s(0, ModelBusy(retry_after_s=12)) == 12
    assert backoff_s(0, ModelBusy(retry_after_s=3_600)) == MAX_BACKOFF_S
    assert backoff_s(5_000, KeepthreadError()) == MAX_BACKOFF_S


def test_the_id_of_a_turn_is_the_same_in_every_process_and_of_no_other_turn() -> None:
    assert turn_id(KEY, "7-0") == "e6629c48a3b45c9d9a065c35c2feb616"
    others = {turn_id(KEY, "7-1"), turn_id(SessionKey("loop", "A1", "C2"), "7-0")}
    assert turn_id(KEY, "7-0") not in others


async def test_the_retry_command_sends_the_picture_again(harness: ExecutorHarness) -> None:
    picture = Attachment("image", "a.png", "image/png", "f1")
    await harness.run(make_message("what is it?", attachments=(picture,)))
    harness.model.script = [say("a heron")]
    assert await harness.run(make_message("retry", kind="command")) == ("done", "")
    assert harness.reply.texts("finish")[1:] == ["a heron"]
    content = harness.model.requests[-1].messages[-1]["content"]
    assert [block["type"] for block in content] == ["text", "image_url"]
    assert harness.counted("command") == 1


async def test_an_edit_of_the_latest_question_offers_a_new_answer_and_of_an_older_one_none(
    harness: ExecutorHarness,
) -> None:
    await harness.run(make_message("one", message_id="1"))
    await harness.run(make_message("two", message_id="2"))
    for number, text in (("1", "ONE"), ("2", "two"), ("9", "?")):
        await harness.run(make_message(text, message_id=number, kind="edit"))
    assert harness.reply.texts("post_buttons") == []
    await harness.run(make_message("overheard", kind="overheard"))
    await harness.run(make_message("TWO", message_id="2", kind="edit"))
    assert harness.reply.texts("post_buttons") == ["retry"]
    past = await harness.bot.history.read(KEY)
    assert [item.turn.incoming[0].text for item in past.window] == ["ONE", "TWO", "overheard"]


async def test_feedback_is_counted_for_answers_that_are_known(harness: ExecutorHarness) -> None:
    await harness.run(make_message("hello", message_id="1"))
    (turn,) = [item.turn for item in (await harness.bot.history.read(KEY)).window]
    for answer in (*turn.answer_ids, "of somebody else", "1"):
        await harness.run(make_message("up", message_id=answer, kind="feedback"))
    for forged in ("splendid", "x" * 60):
        await harness.run(make_message(forged, message_id=turn.answer_ids[0], kind="feedback"))
    (metric,) = harness.metrics.feedback.collect()
    counts = {
        sample.labels["verdict"]: sample.value
        for sample in metric.samples
        if "_total" in sample.name
    }
    assert counts == {"up": 1, "none": 2}
    assert harness.counted("feedback") == 5
