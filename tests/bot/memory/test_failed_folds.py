"""M7: turns that cannot be summarised are kept as extracts, and tried again in smaller pieces."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from bot.conversation import Turn
from bot.memory.compaction import FAILURE_NOTE, Compactor
from bot.memory.fold import MAX_PIECES
from bot.memory.history import RedisHistory
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import TurnWrite
from bot.prompt.builder import PromptBuilder
from bot.prompt.tokens import count_tokens
from bot.prompt.transcript import tokens_of
from bot.settings import Settings
from bot.storage.key_value import RedisKeyValueStore
from tests.bot.memory.compaction_harness import CONTEXT, KEY, fold, talk
from tests.fakes import model_server as fake
from tests.fakes.model_server import Behaviour, Exchange, ModelServer
from tests.support.messages import make_message

DOWN = fake.fail(401, "invalid_api_key")
FILTERED = fake.fail(400, "content_filter")
FIRST_WORDS = "user: 0 tea tea"


def asked_text(exchange: Exchange) -> str:
    return "".join(str(message["content"]) for message in exchange.received.messages)


def answering(
    refuse: Behaviour, is_refused: Callable[[str], bool], says: str = "Tea."
) -> Behaviour:
    async def behave(exchange: Exchange) -> Any:
        return await (refuse if is_refused(asked_text(exchange)) else fake.say(says))(exchange)

    return behave


def small_context(tokens: int, says: str = "Tea.") -> Behaviour:
    too_long = fake.fail(400, "context_length_exceeded")
    return answering(too_long, lambda text: count_tokens(text) > tokens, says)


async def test_a_backlog_is_folded_in_pieces_that_a_small_context_takes(
    compactor: Compactor, server: ModelServer
) -> None:
    """M7: a context far below the budget, and a summary call that was down for a while."""
    server.default = DOWN
    past = await talk(compactor.history, turns=60)
    past = await fold(compactor, past)
    server.default = small_context(250)
    now = await fold(compactor, past)
    assert now.summary == "Tea."
    assert now.summarised_to == now.first_seq > 40
    assert CONTEXT.fold_due(now) is None
    server.requests.clear()
    await fold(compactor, await talk(compactor.history))
    sizes = [count_tokens(str(seen.messages)) for seen in server.requests]
    assert max(sizes) < 400, "the size of a piece is remembered"


async def test_the_limit_of_answers_is_not_that_of_summaries(
    history: RedisHistory, server: ModelServer
) -> None:
    """M7: `BOT_MAX_ANSWER_TOKENS` cuts no summary."""
    model = OpenAIModel(Endpoint("m", "key", server.base_url, max_answer_tokens=200))
    compactor = Compactor(history, model, CONTEXT)
    await fold(compactor, await talk(history))
    body = server.requests[0].body
    assert body.get("max_completion_tokens", body.get("max_tokens")) == 4_000
    await model.aclose()


async def test_without_a_limit_of_answers_summaries_have_none(
    compactor: Compactor, server: ModelServer
) -> None:
    await fold(compactor, await talk(compactor.history))
    assert not {"max_tokens", "max_completion_tokens"} & set(server.requests[0].body)


@pytest.mark.parametrize(
    "behaviour",
    [DOWN, fake.say("<think>Tea?</think>"), fake.say(""), fake.say("Te", reason="length")],
    ids=["down", "only thinking", "empty", "cut"],
)
async def test_turns_that_cannot_be_summarised_are_kept_as_an_extract(
    compactor: Compactor, server: ModelServer, behaviour: Behaviour
) -> None:
    """M7: the early facts stay in the prompt, and an earlier summary with them."""
    await fold(compactor, await talk(compactor.history))
    server.default = behaviour
    now = await fold(compactor, await talk(compactor.history, turns=60))
    assert now.summary == "Ada likes tea."
    prompt = CONTEXT.build(now, Turn("new", (make_message("hi", KEY),)))
    assert "> Ada likes tea.\n> [first words" in prompt.messages[1].text
    assert f"user: {now.summarised_to} tea tea" in prompt.messages[1].text
    assert prompt.tokens <= CONTEXT.budget_tokens
    server.default = fake.say("Ada likes tea and more.")
    mended = await fold(compactor, now)
    assert (mended.summary, mended.fold.extract) == ("Ada likes tea and more.", "")


async def test_a_fold_that_fails_again_and_again_is_tried_less_and_less_often(
    compactor: Compactor, server: ModelServer
) -> None:
    """M7: backoff; the extract grows all the same."""
    now_s, tries = 1_000_000.0, []
    compactor.now_s = lambda: now_s
    server.default = DOWN
    past = await talk(compactor.history)
    for _ in range(400):
        before = len(server.requests)
        past = await fold(compactor, past)
        if len(server.requests) > before:
            tries.append(now_s)
        now_s += 30
    assert len(tries) == past.fold.failures < 12
    waits = [after - before for before, after in pairwise(tries)]
    assert waits == sorted(waits)
    assert waits[-1] <= 3_600
    requests = len(server.requests)
    past = await fold(compactor, await talk(compactor.history))
    assert len(server.requests) == requests
    assert f"user: {past.fold.extracted_to - 1} tea" in past.fold.extract
    assert FIRST_WORDS in past.fold.extract


async def test_a_refused_turn_is_left_out_and_the_others_are_summarised(
    compactor: Compactor, server: ModelServer
) -> None:
    """M7: a filter that refuses; M6: refused words get into no prompt."""
    await talk(compactor.history, turns=7)
    poison = Turn("p", (make_message("I sell brimstone", KEY),)).ended("overheard", "")
    await compactor.history.append(TurnWrite(poison, tokens=tokens_of(poison)))
    server.default = answering(FILTERED, lambda text: "brimstone" in text)
    now = await fold(compactor, await talk(compactor.history, turns=25))
    assert (now.summary, now.summarised_to, now.fold.extract) == ("Tea.", now.first_seq, "")
    assert now.first_seq > 8
    assert "user: [a message that the provider refused]" in str(
        server.requests[-1].messages
    ) or any(
        "[a message that the provider refused]" in str(seen.messages) for seen in server.requests
    )
    assert len(server.requests) < MAX_PIECES


async def test_a_refused_summary_is_begun_anew(compactor: Compactor, server: ModelServer) -> None:
    server.default = fake.say("They sell brimstone.")
    await fold(compactor, await talk(compactor.history))
    server.default = answering(FILTERED, lambda text: "brimstone" in text)
    now = await fold(compactor, await talk(compactor.history))
    assert now.summary == "Tea."
    assert now.fold.extract == ""


@pytest.mark.parametrize("refuse", [FILTERED, fake.fail(400, "invalid_value")])
async def test_a_model_that_refuses_every_summary_costs_few_calls_and_no_facts(
    compactor: Compactor, server: ModelServer, refuse: Behaviour
) -> None:
    """M7: a filter that refuses all; the early facts are kept, and it is not asked for ever."""
    server.default = refuse
    past = await fold(compactor, await talk(compactor.history))
    assert len(server.requests) < MAX_PIECES
    assert past.summarised_to == 0
    assert past.fold.failures == 1
    assert past.fold.extract


async def test_an_extract_is_dropped_when_a_turn_that_it_may_hold_changes(
    compactor: Compactor, server: ModelServer
) -> None:
    server.default = DOWN
    past = await fold(compactor, await talk(compactor.history))
    assert FIRST_WORDS in past.fold.extract
    await compactor.history.delete_message(KEY, "m-0")
    past = await compactor.history.read(KEY)
    assert (past.fold.extract, past.fold.extracted_to) == ("", 0)
    now = await fold(compactor, past)
    assert FIRST_WORDS not in now.fold.extract
    assert "user: 1 tea" in now.fold.extract


async def test_a_reset_forgets_the_extract(compactor: Compactor, server: ModelServer) -> None:
    server.default = DOWN
    await fold(compactor, await talk(compactor.history))
    await compactor.history.reset(KEY)
    assert (await compactor.history.read(KEY)).fold.extract == ""


async def test_each_outcome_is_counted_and_the_last_failure_noted(
    compactor: Compactor, server: ModelServer, settings: Settings, redis: Any
) -> None:
    """M7: a metric, and a note for doctor."""
    outcomes: list[str] = []
    store = RedisKeyValueStore(redis, settings.bot_redis_prefix)
    compactor = replace(compactor, key_values=store, on_outcome=outcomes.append)
    server.default = DOWN
    past = await fold(compactor, await talk(compactor.history))
    note = json.loads(await store.get(FAILURE_NOTE))
    assert (note["failures"], note["cure"]) == (
        1,
        "Check OPENAI_API_KEY, and that it may use BOT_MODEL.",
    )
    server.default = fake.say("Tea.")
    await fold(compactor, past)
    compactor.summarise = False
    await fold(compactor, await talk(compactor.history))
    assert outcomes == ["failed", "summarised", "dropped"]


async def test_turns_of_a_long_backlog_are_all_summarised(
    history: RedisHistory, server: ModelServer
) -> None:
    """M7: the oldest turns of a backlog are not skipped."""
    model = OpenAIModel(Endpoint("m", "key", server.base_url))
    builder = PromptBuilder("Be kind.", 14_000, 0.1)
    compactor = Compactor(history, model, builder)
    past = await talk(history, turns=1_100, words=0)
    await fold(compactor, past)
    asked = [line for seen in server.requests for line in seen.messages[1]["content"].split("\n")]
    numbers = [line.split()[1] for line in asked if line.startswith("user: ")]
    assert numbers[:1_000] == [str(number) for number in range(1_000)]
    await model.aclose()
