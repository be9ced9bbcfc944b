"""How a taken turn ends: done, again later, alone, or given up; and what its person hears of it."""

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
class Place:
    """A connection to one place, where everything is written into the same recording reply."""

    paper: RecordingReply = field(default_factory=RecordingReply)
    hangs: bool = False
    asked: int = 0

    def reply(self, address: Address) -> RecordingReply:
        return self.paper

    async def download(self, address: Address, attachment: Attachment) -> bytes:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        return b"\x89PNG"


@dataclass
class Bench:
    executor: TurnExecutor
    bot: Components
    model: ModelServer
    place: Place
    metrics: Metrics
    number: int = 0

    @property
    def paper(self) -> RecordingReply:
        return self.place.paper

    def lease(self, *incoming: Incoming, tries: int = 1, fails: int = 0) -> Lease:
        self.number += 1
        ids = tuple(f"{int(time.time() * 1e6)}-{self.number + n}" for n in range(len(incoming)))
        taken = ClaimedTurn(0, str(KEY), b"1-0", 0, tries, fails, ids, incoming)
        return Lease(taken, time.monotonic() + 600)

    async def run(self, *incoming: Incoming, **how: int) -> tuple[str, str]:
        """The verdict: outcome and reason."""
        verdict = await self.executor.execute(self.lease(*incoming, **how))
        return verdict.outcome, verdict.reason

    def counted(self, outcome: str) -> float:
        labels = {"platform": "loop", "outcome": outcome}
        return self.metrics.registry.get_sample_value("keepthread_turns_total", labels) or 0


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    async with ModelServer() as model, open_components(service_settings(settings, model)) as bot:
        place, metrics = Place(), Metrics()
        recent = RecentConversations(
            bot.store.client, settings.bot_redis_prefix, 1_000, bot.sessions
        )
        preparation = TurnPreparation(bot.history, Transcriber(settings), max_chars=1_000)
        executor = TurnExecutor(
            DirectCore(bot).services,
            bot.commands,
            {"loop": place},
            preparation,
            recent,
            metrics,
            max_attempts=3,
        )
        yield Bench(executor, bot, model, place, metrics)


async def test_an_answered_turn_is_done_counted_and_noted(bench: Bench) -> None:
    assert await bench.run(make_message("hello")) == ("done", "")
    assert bench.paper.texts("finish") == ["You said: hello"]
    assert bench.paper.calls[-1][0] == "aclose"
    assert bench.counted("complete") == 1
    labels = {"model": "gpt-5-mini", "kind": "output"}
    assert bench.metrics.registry.get_sample_value("keepthread_model_tokens_total", labels)
    (listed,) = await bench.executor.recent.conversations_of("loop", make_message("x").speaker)
    assert listed.session == KEY


def test_an_endpoint_with_a_new_name_for_each_answer_fills_no_metrics() -> None:
    metrics = Metrics()
    for number in range(MAX_MODELS + 5):
        metrics.count_tokens(f"model-{number}", Usage(10, 1))
    (family,) = metrics.tokens.collect()
    counts = {
        one.labels["model"]: one.value
        for one in family.samples
        if one.name.endswith("_total") and one.labels["kind"] == "input"
    }
    assert len(counts) == MAX_MODELS + 1
    assert counts["other"] == 50


async def test_messages_that_came_together_are_one_turn(bench: Bench) -> None:
    await bench.run(make_message("my name is Ada"), make_message("what is my name?"))
    assert len(bench.model.requests) == 1
    asked = bench.model.requests[0].messages[-1]["content"]
    assert asked == "my name is Ada\n\nwhat is my name?"


async def test_a_message_nobody_can_read_is_given_up(bench: Bench) -> None:
    assert await bench.run() == ("dead", "unreadable")


async def test_a_turn_of_a_platform_that_is_not_here_is_left_for_others(bench: Bench) -> None:
    elsewhere = make_message("x", SessionKey("matrix", "A1", "C1"))
    verdict = await bench.executor.execute(bench.lease(elsewhere))
    assert (verdict.outcome, verdict.delay_s) == ("defer", MISSING_PLATFORM_S)


async def test_rights_that_were_taken_away_meanwhile_count(bench: Bench) -> None:
    bench.bot.access.allow = ("loop:A1/U2",)
    assert await bench.run(make_message("hello"), make_message("again")) == ("done", "")
    assert bench.counted("refused") == 1
    assert bench.model.requests == []
    assert not bench.paper.texts("finish")


async def test_what_was_overheard_of_somebody_who_may_no_longer_is_not_remembered(
    bench: Bench,
) -> None:
    bench.bot.access.allow = ("loop:A1/U2",)
    assert await bench.run(make_message("psst", kind="overheard")) == ("done", "")
    assert bench.counted("refused") == 1
    assert (await bench.bot.history.read(KEY)).window == ()


async def test_of_several_only_those_who_may_are_answered(bench: Bench) -> None:
    bench.bot.access.allow = ("loop:A1/U2",)
    other = make_message("let me in")
    welcome = replace(other, speaker=replace(other.speaker, id="U2"), text="hello")
    await bench.run(other, welcome)
    assert bench.paper.texts("finish") == ["You said: hello"]


TROUBLES: list[tuple[Exception, int, str, str]] = [
    (StoreUnavailable("away"), 1, "retry", ""),
    (PlatformBusy("429"), 1, "retry", ""),
    (PlatformBusy("429"), 3, "dead", GIVEN_UP),
    (PlatformBusy("banned", retry_after_s=7_740), 3, "defer", ""),
    (PlatformRefused("token revoked"), 1, "dead", ""),
    (PlaceGone("kicked"), 1, "done", ""),
    (KeepthreadError("odd"), 1, "retry", ""),
    (ZeroDivisionError("a bug"), 1, "retry", ""),
    (ZeroDivisionError("a bug"), 3, "dead", GIVEN_UP),
    (Overtaken("reset", by_reset=True), 1, "done", ""),
    (Overtaken("frozen for too long"), 1, "retry", ""),
    (Overtaken("another worker", by_worker=True), 3, "defer", ""),
]


@pytest.mark.parametrize(("trouble", "tries", "outcome", "word"), TROUBLES, ids=repr)
async def test_each_trouble_has_its_verdict(
    bench: Bench, trouble: Exception, tries: int, outcome: str, word: str
) -> None:
    bench.paper.failures = [trouble]
    found, reason = await bench.run(make_message("hello"), tries=tries)
    assert (found, bench.paper.texts("post")) == (outcome, [word] if word else [])
    assert (reason != "") == (outcome != "done" or isinstance(trouble, Overtaken))
    assert bench.paper.calls[-1][0] == "aclose"


async def test_what_may_pass_is_tried_again_until_the_last_try_which_tells(bench: Bench) -> None:
    bench.model.default = fail(429, "rate_limit_exceeded", retry_after_s=30)
    verdict = await bench.executor.execute(bench.lease(make_message("hello"), tries=1))
    assert (verdict.outcome, verdict.delay_s) == ("retry", 30)
    assert bench.paper.texts("fail") == []
    assert await bench.run(make_message("hello"), tries=3) == ("dead", ModelBusy.__name__)
    assert ["in about 30 seconds" in text for text in bench.paper.texts("fail")] == [True]
    assert bench.paper.texts("post") == [], "told once is enough"


async def test_what_nobody_can_mend_by_waiting_is_told_at_once(bench: Bench) -> None:
    bench.model.default = fail(401)
    assert await bench.run(make_message("hello"), tries=1) == ("done", ModelKeyRefused.__name__)
    assert bench.paper.texts("fail") == [ModelKeyRefused.sentence]


async def test_a_turn_that_ended_its_workers_is_given_up_without_another_try(
    bench: Bench,
) -> None:
    assert await bench.run(make_message("poison"), tries=4, fails=0) == ("dead", "ended 3 workers")
    assert bench.model.requests == []
    assert bench.paper.texts("post") == [GIVEN_UP]


@pytest.mark.parametrize("kind", ["overheard", "edit", "delete", "feedback"])
async def test_nobody_is_told_of_what_nobody_asked_for(bench: Bench, kind: IncomingKind) -> None:
    assert (await bench.run(make_message("poison", kind=kind), tries=4))[0] == "dead"
    assert bench.paper.texts("post") == []


async def test_a_turn_that_is_behind_the_newest_token_waits_and_costs_no_try(
    bench: Bench,
) -> None:
    """On a cluster the inbox can lose its last second, and find itself on a clock that is behind."""
    await bench.bot.history.read(KEY, fence=2_000)
    lease = bench.lease(make_message("hello"), tries=3)
    lease.turn = replace(lease.turn, token=1_999)
    assert (await bench.executor.execute(lease)).outcome == "defer"
    lease.turn = replace(lease.turn, token=2_001)
    assert (await bench.executor.execute(lease)).outcome == "done"
    assert bench.paper.texts("finish") == ["You said: hello"]


async def test_who_says_stop_waits_for_no_attachment(bench: Bench) -> None:
    bench.place.hangs = True
    voice = Attachment("document", "a.txt", "text/plain", "f1")
    lease = bench.lease(make_message("read this", attachments=(voice,)))
    running = asyncio.create_task(bench.executor.execute(lease))
    await wait_until(lambda: bench.place.asked)
    lease.stop.request()
    assert (await running).outcome == "done"
    assert bench.counted("stopped") == 1
    assert bench.model.requests == []


async def test_a_stopped_turn_is_not_given_up_with_an_apology(bench: Bench) -> None:
    lease = bench.lease(make_message("hello"), tries=4)
    lease.stop.request()
    assert (await bench.executor.execute(lease)).outcome == "done"
    assert (bench.paper.texts("post"), bench.counted("stopped")) == ([], 1)
    lease = bench.lease(make_message("poison"), tries=5)
    lease.stop.request()
    assert (await bench.executor.execute(lease)).outcome == "dead", "but not for ever"


async def test_a_turn_of_several_messages_is_taken_apart_before_it_is_given_up(
    bench: Bench,
) -> None:
    assert (await bench.run(make_message("poison"), make_message("innocent"), tries=4))[
        0
    ] == "split"
    assert bench.paper.texts("post") == [], "each of them has a try of its own first"


async def test_a_lost_lease_leaves_the_turn_to_its_new_worker(bench: Bench) -> None:
    lease = bench.lease(make_message("hello"), tries=3)
    lease.is_lost = True
    assert (await bench.executor.execute(lease)).outcome == "retry"
    assert not bench.paper.texts("finish") + bench.paper.texts("post") + bench.paper.texts("fail")


def test_the_wait_doubles_and_keeps_to_what_was_asked_for_within_bounds() -> None:
    waits = [backoff_s(fails, KeepthreadError()) for fails in range(8)]
    for fails, wait_s in enumerate(waits):
        assert min(MAX_BACKOFF_S, 0.75 * 2**fails) <= wait_s <= min(MAX_BACKOFF_S, 1.25 * 2**fails)
    assert backoff_s(0, ModelBusy(retry_after_s=12)) == 12
    assert backoff_s(0, ModelBusy(retry_after_s=3_600)) == MAX_BACKOFF_S
    assert backoff_s(5_000, KeepthreadError()) == MAX_BACKOFF_S


def test_a_turns_id_is_the_same_in_every_process_and_no_other_ones() -> None:
    assert turn_id(KEY, "7-0") == "e6629c48a3b45c9d9a065c35c2feb616"
    others = {turn_id(KEY, "7-1"), turn_id(SessionKey("loop", "A1", "C2"), "7-0")}
    assert turn_id(KEY, "7-0") not in others


async def test_answering_again_sees_the_picture_again(bench: Bench) -> None:
    picture = Attachment("image", "a.png", "image/png", "f1")
    await bench.run(make_message("what is it?", attachments=(picture,)))
    bench.model.script = [say("a heron")]
    assert await bench.run(make_message("retry", kind="command")) == ("done", "")
    assert bench.paper.texts("finish")[1:] == ["a heron"]
    content = bench.model.requests[-1].messages[-1]["content"]
    assert [block["type"] for block in content] == ["text", "image_url"]
    assert bench.counted("command") == 1


async def test_an_edit_of_the_latest_question_offers_a_new_answer_and_of_an_older_one_none(
    bench: Bench,
) -> None:
    await bench.run(make_message("one", message_id="1"))
    await bench.run(make_message("two", message_id="2"))
    for number, text in (("1", "ONE"), ("2", "two"), ("9", "?")):
        await bench.run(make_message(text, message_id=number, kind="edit"))
    assert bench.paper.texts("post_buttons") == []
    await bench.run(make_message("overheard", kind="overheard"))
    await bench.run(make_message("TWO", message_id="2", kind="edit"))
    assert bench.paper.texts("post_buttons") == ["retry"]
    past = await bench.bot.history.read(KEY)
    assert [item.turn.incoming[0].text for item in past.window] == ["ONE", "TWO", "overheard"]


async def test_feedback_is_counted_for_answers_that_are_known(bench: Bench) -> None:
    await bench.run(make_message("hello", message_id="1"))
    (turn,) = [item.turn for item in (await bench.bot.history.read(KEY)).window]
    for answer in (*turn.answer_ids, "of somebody else", "1"):
        await bench.run(make_message("up", message_id=answer, kind="feedback"))
    for forged in ("splendid", "x" * 60):
        await bench.run(make_message(forged, message_id=turn.answer_ids[0], kind="feedback"))
    (metric,) = bench.metrics.feedback.collect()
    counts = {one.labels["verdict"]: one.value for one in metric.samples if "_total" in one.name}
    assert counts == {"up": 1, "none": 2}
    assert bench.counted("feedback") == 5
