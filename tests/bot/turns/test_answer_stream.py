"""One answer while it grows: ended from outside at any moment, and with less of the past if need be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from redis.asyncio import Redis

from bot.errors import PromptTooLong
from bot.settings import Settings
from bot.turns.stop_signal import StopSignal
from tests.fakes.model_server import Exchange, fail, say, stall
from tests.support.handler_harness import Desk, Paper, desk_over
from tests.support.wait import wait_until

TOO_LONG = fail(400, "context_length_exceeded")


@pytest.fixture
async def desk(redis: Redis, settings: Settings) -> AsyncIterator[Desk]:
    async with desk_over(redis, settings) as made:
        yield made


async def test_a_stop_before_the_beginning_asks_no_model(desk: Desk) -> None:
    stop, paper = StopSignal(), Paper()
    stop.request()
    done = await desk.ask("hello", reply=paper, stop=stop)
    assert (done.state, done.answer) == ("stopped", "")
    assert paper.read("finish") == [""]
    assert desk.model.requests == []
    assert await desk.remembered() == [done]


async def test_a_stop_before_the_first_word_closes_the_stream(desk: Desk) -> None:
    desk.model.script = [stall("")]
    stop = StopSignal()
    asked = asyncio.create_task(desk.ask("hello", stop=stop))
    await wait_until(lambda: desk.model.open_streams == 1)
    stop.request()
    assert (await asked).state == "stopped"
    await wait_until(lambda: desk.model.open_streams == 0)


async def test_a_stop_after_the_end_changes_nothing(desk: Desk) -> None:
    stop = StopSignal()
    done = await desk.ask("hello", stop=stop)
    stop.request()
    assert (done.state, done.answer) == ("complete", "You said: hello")
    assert await desk.remembered() == [done]


async def test_a_stop_while_the_turn_is_written_leaves_the_answer_whole(desk: Desk) -> None:
    stop = StopSignal()

    class Stopper(Paper):
        async def finish(self, turn):
            stop.request()
            return await super().finish(turn)

    done = await desk.ask("hello", reply=Stopper(), stop=stop)
    assert (done.state, done.answer) == ("complete", "You said: hello")


async def test_asking_twice_to_stop_is_asking_once(desk: Desk) -> None:
    desk.model.script = [stall("so")]
    stop, paper = StopSignal(), Paper()
    asked = asyncio.create_task(desk.ask("hello", reply=paper, stop=stop))
    await wait_until(lambda: paper.read("show"))
    stop.request()
    stop.request()
    assert (await asked).answer == "so"
    assert (await desk.ask("on", stop=StopSignal())).state == "complete", (
        "and it ends no other turn"
    )


async def test_a_prompt_that_is_too_long_for_the_model_is_asked_again_with_less_of_the_past(
    desk: Desk,
) -> None:
    for number in range(6):
        await desk.ask(f"number {number}")
    desk.model.script = [TOO_LONG]
    paper = Paper()
    done = await desk.ask("and now?", reply=paper)
    assert (done.state, paper.read("finish")) == ("complete", ["You said: and now?"])
    long, short = (
        [m["content"] for m in seen.messages if m["role"] == "user"]
        for seen in desk.model.requests[-2:]
    )
    assert long == [*(f"number {number}" for number in range(6)), "and now?"]
    assert short == ["number 3", "number 4", "number 5", "and now?"]
    await desk.ask("next")
    (asked,) = [seen for seen in desk.model.requests if seen.messages[-1]["content"] == "next"]
    assert "number 2" not in str(asked.messages[2:]), "what did not fit stays out"


async def test_a_prompt_that_is_too_long_without_any_past_is_told(desk: Desk) -> None:
    await desk.ask("hello")
    desk.model.script = [TOO_LONG, TOO_LONG, say("never")]
    paper = Paper()
    done = await desk.ask("x" * 3_000, reply=paper)
    assert (done.state, done.note) == ("failed", PromptTooLong.__name__)
    assert paper.read("fail") == [PromptTooLong.sentence]
    assert len(desk.model.requests) == 3
    desk.model.script = []
    await desk.ask("again")
    asked = [m["content"] for m in desk.model.requests[-1].messages]
    assert "hello" in asked
    assert "x" * 500 not in str(asked), "else the next one would be too long as well"


async def test_a_prompt_is_not_made_shorter_once_something_was_shown(desk: Desk) -> None:
    async def half_way(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, "half")
        event = b'data: {"error": {"message": "x", "code": "context_length_exceeded"}}\n\n'
        await response.write(event)
        await response.write_eof()
        return response

    await desk.ask("hello")
    desk.model.script = [half_way]
    paper = Paper()
    done = await desk.ask("more", reply=paper)
    assert (done.state, done.answer) == ("failed", "half")
    assert len(desk.model.requests) == 2
