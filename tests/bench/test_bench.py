"""Promises of the bench that need no clock, on small conversations."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.ports import Message
from bot.prompt.builder import PromptBuilder
from bot.settings.core import DEFAULT_SYSTEM_PROMPT
from tests.bench.history import Keepthread
from tests.bench.prefix import BLOCK_TOKENS, PrefixCache, run_keepthread, run_turn_window
from tests.bench.sample_conversation import SampleConversation
from tests.bench.tables import Promise, Table

CONTEXT = PromptBuilder(DEFAULT_SYSTEM_PROMPT, 8_000)
TALK = SampleConversation("C1", answer_sentences=(1, 5))
TURNS = 180


async def test_the_prompts_of_a_long_conversation_are_mostly_reusable(redis: Redis) -> None:
    ours = await run_keepthread(redis, CONTEXT, TALK, TURNS)
    assert ours.turns.prompts == TURNS
    assert ours.summary_tokens > 0
    assert ours.turns.share >= 0.9


def test_those_of_a_sliding_window_are_not() -> None:
    assert run_turn_window(CONTEXT, TALK, TURNS * 3).share <= 0.1


def test_a_cache_reuses_whole_blocks_of_a_long_beginning_only() -> None:
    words = [f"word{number} " for number in range(1_000)]
    cache = PrefixCache()
    cache.ask((Message("system", "".join(words)),))
    assert cache.reused == 0
    cache.ask((Message("system", "".join(words) + "and more"),))
    assert cache.reused == cache.tokens // 2 // BLOCK_TOKENS * BLOCK_TOKENS
    before = cache.reused
    cache.ask((Message("system", "Other " + "".join(words)),))
    cache.ask((Message("system", "".join(words[:300]) + "".join(reversed(words))),))
    assert cache.reused == before


async def test_a_long_conversation_costs_its_server_no_more_than_a_short_one(redis: Redis) -> None:
    async def cost(turns: int) -> tuple[int, int]:
        """Commands run on the server by one turn, those in scripts too, and bytes it sent."""
        await redis.config_resetstat()
        await ours.turn(turns)
        stats = await redis.info("stats")
        calls = sum(command["calls"] for command in (await redis.info("commandstats")).values())
        return calls, stats["total_net_output_bytes"]

    ours = Keepthread(redis)
    costs = []
    for turns in (20, 2_000):
        await ours.fill(turns)
        costs.append(await cost(turns))
    (few, few_bytes), (many, many_bytes) = costs
    assert many == few
    assert many_bytes < 2 * few_bytes


def test_a_table_says_which_promise_is_broken() -> None:
    kept = Promise("speed", 9, 10)
    broken = Promise("size", 9, 10, "at least")
    table = Table("Bench", ("", "now"), (("speed", "9"),), (kept, broken))
    assert "speed: 9.00, at most 10.0: kept" in str(table)
    assert "size: 9.00, at least 10.0: BROKEN" in str(table)
