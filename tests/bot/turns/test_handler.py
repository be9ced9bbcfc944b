"""The mission: remember, think, remember again, then hand over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web
from redis.asyncio import Redis

from bot.conversation import Turn
from bot.errors import (
    MessageTooLong,
    ModelBroken,
    ModelKeyRefused,
    Overtaken,
    PlatformBusy,
    PlatformUnreachable,
)
from bot.ports import Delivery
from bot.prompt.transcript import messages_of
from bot.settings import Settings
from bot.turns.handler import NOT_REMEMBERED, PERHAPS_TWICE
from bot.turns.stop_signal import StopSignal
from tests.fakes.model_server import Behaviour, Exchange, cut, fail, say, stall, truncated
from tests.support.handler_harness import KEY, Desk, Paper, desk_over
from tests.support.wait import wait_until


@pytest.fixture
async def desk(redis: Redis, settings: Settings) -> AsyncIterator[Desk]:
    async with desk_over(redis, settings) as made:
        yield made


def meanwhile(act: Callable[[], Awaitable[object]], text: str = "so") -> Behaviour:
    """The model answers `text`, and `act` is done before it begins."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        await act()
        return await say(text)(exchange)

    return behave


async def test_the_past_is_read_before_and_the_turn_written_after_the_model_and_then_handed_over(
    desk: Desk,
) -> None:
    await desk.ask("my name is Ada")
    order: list[tuple[str, list[str]]] = []

    async def look(when: str) -> None:
        order.append((when, [turn.answer for turn in await desk.remembered()]))

    class Watched(Paper):
        async def finish(self, turn: Turn) -> Delivery:
            await look("handed over")
            return await super().finish(turn)

    desk.model.script = [meanwhile(lambda: look("thinking"), "Your name is Ada.")]
    paper = Watched()
    done = await desk.ask("what is my name?", reply=paper)
    assert "my name is Ada" in [m["content"] for m in desk.model.requests[-1].messages]
    assert order == [
        ("thinking", ["You said: my name is Ada"]),
        ("handed over", ["You said: my name is Ada", "Your name is Ada."]),
    ]
    kinds = [kind for kind, _ in paper.lines]
    assert (kinds[0], kinds[-2:]) == ("status", ["finish", "close"])
    assert "".join(paper.read("show")) == "Your name is Ada."
    assert (done.state, done.answer_ids) == ("complete", (f"m-{done.id}",))
    assert done.usage
    assert (await desk.remembered())[-1] == done, "the ids of its messages are noted too"


@pytest.mark.parametrize(
    ("behaviour", "shown", "sentence"),
    [
        (fail(401, "invalid_api_key"), "", "does not let me in"),
        (truncated("The first half"), "The first half", "cut off"),
        (cut("The first half"), "The first half", "cut off"),
    ],
)
async def test_a_failed_answer_is_told_and_never_remembered_as_an_answer(
    desk: Desk, behaviour: Behaviour, shown: str, sentence: str
) -> None:
    desk.model.script = [behaviour]
    paper = Paper()
    done = await desk.ask("my name is Ada", reply=paper)
    assert (done.state, done.answer) == ("failed", shown)
    assert paper.read("finish") == []
    assert [sentence in text for text in paper.read("fail")] == [True]
    assert await desk.remembered() == [done]
    await desk.ask("what is my name?", reply=paper)
    assert paper.read("finish") == ["Your name is Ada."], "what was said still counts"
    _, _, answer, _ = (m["content"] for m in desk.model.requests[-1].messages)
    assert "technical problem]" in answer
    assert answer.startswith(shown)


async def test_a_stopped_answer_is_remembered_as_what_was_shown_of_it(desk: Desk) -> None:
    desk.model.script = [stall("Once upon a time")]
    paper, stop = Paper(), StopSignal()
    asked = asyncio.create_task(desk.ask("tell me a story", reply=paper, stop=stop))
    await wait_until(lambda: "".join(paper.read("show")) == "Once upon a time")
    stop.request()
    done = await asked
    assert (done.state, done.answer) == ("stopped", "Once upon a time")
    assert paper.read("finish") == ["Once upon a time"]
    assert await desk.remembered() == [done]
    assert "stopped" in messages_of(done)[1].text


async def test_an_answer_that_cannot_be_written_is_handed_over_with_a_word(desk: Desk) -> None:
    await desk.ask("hello")
    desk.model.script = [meanwhile(lambda: desk.redis.config_set("maxmemory", 1), "an answer")]
    paper = Paper()
    try:
        done = await desk.ask("what now?", reply=paper)
    finally:
        await desk.redis.config_set("maxmemory", 0)
    assert paper.read("finish") == ["an answer"]
    assert paper.read("say") == [NOT_REMEMBERED]
    assert done.state == "complete"
    assert [turn.answer for turn in await desk.remembered()] == ["You said: hello"]


async def test_writing_is_tried_again_for_a_while(desk: Desk) -> None:
    await desk.ask("hello")
    desk.handler.write_patience_s = 30
    desk.model.script = [meanwhile(lambda: desk.redis.config_set("maxmemory", 1), "an answer")]
    await desk.redis.config_resetstat()
    paper = Paper()
    asked = asyncio.create_task(desk.ask("what now?", reply=paper))

    async def was_refused() -> bool:
        return "errorstat_OOM" in await desk.redis.info("errorstats")

    try:
        await wait_until(was_refused)
    finally:
        await desk.redis.config_set("maxmemory", 0)
    await asked
    assert (paper.read("finish"), paper.read("say")) == (["an answer"], [])
    assert len(await desk.remembered()) == 2


async def test_without_memory_nothing_is_asked_of_the_model_and_the_person_is_told(
    desk: Desk,
) -> None:
    await desk.redis.set(desk.history.keys.of(KEY, "state"), "no hash", ex=100)
    paper = Paper()
    done = await desk.ask("hello", reply=paper)
    assert done.state == "failed"
    assert ["memory is not working" in text for text in paper.read("fail")] == [True]
    assert desk.model.requests == []
    assert paper.lines[-1][0] == "close"


async def test_what_may_pass_by_itself_is_left_to_the_inbox_while_nothing_was_shown(
    desk: Desk,
) -> None:
    desk.model.script = [fail(500), truncated("half"), fail(401)]
    paper = Paper()
    with pytest.raises(ModelBroken):
        await desk.ask("hello", reply=paper, may_retry=True)
    assert await desk.remembered() == []
    assert [kind for kind, _ in paper.lines] == ["status", "close"]
    assert (await desk.ask("hello", reply=paper, may_retry=True)).state == "failed", "was shown"
    assert (await desk.ask("again", reply=paper, may_retry=True)).state == "failed", "stays so"


@pytest.mark.parametrize("by_reset", [True, False])
@pytest.mark.parametrize("behaviour", [say("too late"), fail(401)])
async def test_an_overtaken_turn_writes_and_shows_nothing_more(
    desk: Desk, behaviour: Behaviour, by_reset: bool
) -> None:
    await desk.ask("hello", fence=1)

    async def overtake(exchange: Exchange) -> web.StreamResponse:
        if by_reset:
            await desk.history.reset(KEY)
        else:
            await desk.history.read(KEY, fence=9)
        return await behaviour(exchange)

    desk.model.script = [overtake]
    paper = Paper()
    with pytest.raises(Overtaken) as caught:
        await desk.ask("go on", reply=paper, fence=2)
    assert caught.value.by_reset == by_reset
    assert not paper.read("finish") + paper.read("fail") + paper.read("say")
    assert paper.lines[-1][0] == "close"
    assert len(await desk.remembered()) == (0 if by_reset else 1)


async def test_an_answer_that_a_lease_in_doubt_held_back_is_delivered_later_as_if_nothing_had_been(
    desk: Desk,
) -> None:
    """It was never shown: nobody is to be told that it may be a repetition."""
    paper = Paper(troubles=[Overtaken("no sign of life for longer than the lease")])
    with pytest.raises(Overtaken):
        await desk.ask("hello", "t1", reply=paper, fence=1)
    await desk.ask("hello", "t1", reply=paper, fence=2)
    assert paper.read("finish") == ["You said: hello"]
    assert len(desk.model.requests) == 1


async def test_a_written_turn_calls_no_model_again(desk: Desk) -> None:
    first = await desk.ask("hello", "t1")
    paper = Paper()
    assert await desk.ask("hello", "t1", reply=paper) == first
    assert len(desk.model.requests) == 1
    assert [kind for kind, _ in paper.lines] == ["status", "close"], "it is known to be there"


async def test_an_answer_whose_delivery_is_uncertain_is_delivered_once_more_marked(
    desk: Desk,
) -> None:
    gone = PlatformUnreachable("the line broke")
    paper = Paper(troubles=[gone, gone])
    for _ in range(2):
        with pytest.raises(PlatformUnreachable):
            await desk.ask("hello", "t1", reply=paper)
    await desk.ask("hello", "t1", reply=paper)
    assert paper.read("finish") == [], "it may have been read twice by now"
    await desk.ask("other", "t2", reply=paper)
    assert paper.read("finish") == ["You said: other"]

    paper = Paper(troubles=[gone])
    with pytest.raises(PlatformUnreachable):
        await desk.ask("more", "t3", reply=paper)
    done = await desk.ask("more", "t3", reply=paper)
    assert paper.read("finish") == [f"{PERHAPS_TWICE}\n\nYou said: more"]
    assert done.answer == "You said: more"
    assert (await desk.remembered())[-1].answer == "You said: more"
    assert len(desk.model.requests) == 3


@pytest.mark.parametrize("times", [1, 3])
async def test_an_answer_that_certainly_did_not_arrive_is_delivered_unmarked(
    desk: Desk, times: int
) -> None:
    paper = Paper(troubles=[PlatformBusy("429")] * times)
    for _ in range(times):
        with pytest.raises(PlatformBusy):
            await desk.ask("hello", "t1", reply=paper)
    await desk.ask("hello", "t1", reply=paper)
    assert paper.read("finish") == ["You said: hello"]
    assert len(desk.model.requests) == 1


async def test_an_answer_that_may_have_arrived_at_last_is_still_repeated_once(desk: Desk) -> None:
    paper = Paper(troubles=[PlatformBusy("429"), PlatformUnreachable("?")])
    for trouble in (PlatformBusy, PlatformUnreachable):
        with pytest.raises(trouble):
            await desk.ask("hello", "t1", reply=paper)
    for _ in range(2):
        await desk.ask("hello", "t1", reply=paper)
    assert paper.read("finish") == [f"{PERHAPS_TWICE}\n\nYou said: hello"]


async def test_a_repetition_that_certainly_did_not_arrive_is_no_repetition(desk: Desk) -> None:
    paper = Paper(troubles=[PlatformUnreachable("?"), PlatformBusy("429")])
    for trouble in (PlatformUnreachable, PlatformBusy):
        with pytest.raises(trouble):
            await desk.ask("hello", "t1", reply=paper)
    await desk.ask("hello", "t1", reply=paper)
    assert paper.read("finish") == [f"{PERHAPS_TWICE}\n\nYou said: hello"]


async def test_a_platform_that_has_it_is_not_given_it_again(desk: Desk) -> None:
    paper = Paper(troubles=[PlatformUnreachable("?")])
    with pytest.raises(PlatformUnreachable):
        await desk.ask("hello", "t1", reply=paper)
    paper.is_there = Delivery(("m-7",))
    done = await desk.ask("hello", "t1", reply=paper)
    assert (paper.read("finish"), done.answer_ids) == ([], ("m-7",))
    assert (await desk.remembered())[-1].answer_ids == ("m-7",)


async def test_a_failure_that_could_not_be_told_is_told_later_as_a_failure(desk: Desk) -> None:
    desk.model.script = [fail(401)]
    paper = Paper(troubles=[PlatformUnreachable("?")])
    with pytest.raises(PlatformUnreachable):
        await desk.ask("hello", "t1", reply=paper)
    done = await desk.ask("hello", "t1", reply=paper)
    assert paper.read("fail") == [ModelKeyRefused.sentence]
    assert paper.read("finish") == []
    assert (done.state, done.note) == ("failed", "ModelKeyRefused")
    await desk.ask("hello", "t1", reply=paper)
    assert len(paper.read("fail")) == 1
    assert len(desk.model.requests) == 1


async def test_a_message_too_long_for_any_prompt_does_not_push_out_what_was_said_before(
    desk: Desk,
) -> None:
    await desk.ask("my name is Ada")
    paper = Paper()
    done = await desk.ask("blah " * 9_000, reply=paper)
    assert (done.state, done.note) == ("failed", MessageTooLong.__name__)
    assert "send it in parts" in paper.read("fail")[0]
    await desk.ask("what is my name?", reply=paper)
    assert paper.read("finish") == ["Your name is Ada."]


async def test_an_answer_without_words_leaves_no_empty_message_in_later_prompts(
    desk: Desk,
) -> None:
    """Some endpoints refuse those, and with them every later question of the conversation."""
    desk.model.script = [say(" ")]
    assert (await desk.ask("hello")).state == "complete"
    await desk.ask("and now?")
    assert all(message["content"].strip() for message in desk.model.requests[-1].messages)


async def test_an_answer_asked_for_again_and_stopped_before_its_first_word_replaces_nothing(
    desk: Desk,
) -> None:
    old = await desk.ask("hello", "t1")
    paper, stop = Paper(), StopSignal()
    stop.request()
    done = await desk.ask("hello", "t2", reply=paper, replaces="t1", stop=stop)
    assert (done.state, paper.read("finish")) == ("stopped", [""])
    assert [turn.id for turn in await desk.remembered()] == [old.id]
    assert [turn.answer for turn in await desk.remembered()] == [old.answer]


async def test_an_answer_that_is_asked_again_replaces_the_old_one_only_if_it_succeeds(
    desk: Desk,
) -> None:
    first = await desk.ask("hello", "t1")
    desk.model.script = [fail(401), say("a better one")]
    paper = Paper()
    failed = await desk.ask("hello", "t2", reply=paper, replaces="t1")
    assert (failed.state, await desk.remembered()) == ("failed", [first])
    done = await desk.ask("hello", "t2", reply=paper, replaces="t1")
    assert await desk.remembered() == [done]
    asked = [message["content"] for message in desk.model.requests[-1].messages]
    assert asked == ["Be kind.", "hello"], "the old answer is not in the way of the new one"


async def test_what_is_overheard_is_remembered_without_a_model(desk: Desk) -> None:
    await desk.handler.overhear(replace((await desk.ask("hello")), id="heard", state="asked"))
    assert [turn.state for turn in await desk.remembered()] == ["complete", "overheard"]
    assert len(desk.model.requests) == 1


async def test_a_handler_that_is_cancelled_leaves_no_stream_open_and_writes_nothing(
    desk: Desk,
) -> None:
    desk.model.script = [stall("so")]
    paper = Paper()
    asked = asyncio.create_task(desk.ask("hello", reply=paper))
    await wait_until(lambda: paper.read("show"))
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await wait_until(lambda: desk.model.open_streams == 0)
    assert paper.lines[-1][0] == "close"
    assert await desk.remembered() == []


async def test_an_older_worker_is_told_before_it_asks_the_model(desk: Desk) -> None:
    await desk.ask("hello", fence=5)
    paper = Paper()
    with pytest.raises(Overtaken):
        await desk.ask("older", reply=paper, fence=4)
    assert [kind for kind, _ in paper.lines] == ["status", "close"]
    assert len(desk.model.requests) == 1


async def test_answering_again_asks_for_no_summary_that_could_not_be_kept(desk: Desk) -> None:
    """A turn that was replaced is in no summary made from what was read before."""
    words = "word " * 900
    for number in range(3):
        last = await desk.ask(f"{number} {words}", "last" if number == 2 else "")
    await desk.handler.compactor.settle()
    before = len(desk.model.requests)
    await desk.ask(f"2 {words}", "again", replaces=last.id)
    await desk.handler.compactor.settle()
    assert len(desk.model.requests) == before + 1
