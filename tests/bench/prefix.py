"""Prompt cache bench: the share of a long conversation's prompts that a provider could reuse.

One conversation of 300 turns runs through the real handler, context, history and compaction, with a model
that answers from a script and summarises by keeping first sentences. Beside it the same talk goes through
a window of the same budget that drops the oldest turns as it overflows.

The cache works as providers describe theirs: it holds what a prompt has in common with the beginning of
an earlier one, in whole blocks of 128 tokens, if that is 1,024 tokens or more
(https://platform.openai.com/docs/guides/prompt-caching). Counted are the prompts of the turns, and in a
second figure those of the summaries as well, of which nothing is reused.
"""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from bot.conversation import Turn
from bot.memory.compaction import Compactor
from bot.memory.history import RedisHistory
from bot.ports import AnswerDelta, Message, Prompt, TurnTrace
from bot.prompt.builder import PromptBuilder
from bot.prompt.transcript import messages_of, tokens_of
from bot.settings import Settings
from bot.tracing.noop import NoopTracer
from bot.turns.handler import Handler
from bot.turns.request import Request
from tests.bench.null_reply import NullReply
from tests.bench.sample_conversation import SampleConversation
from tests.bench.tables import Promise, Table, number, share
from tests.faults.servers import DurableRedis

TURNS = 300
BLOCK_TOKENS = 128
MIN_TOKENS = 1_024
OURS_AT_LEAST_PERCENT = 90
SLIDING_AT_MOST_PERCENT = 10

_TOKEN = re.compile(r" ?\w{1,6}|\s+|[^\w\s]")
"""Stand-in for a tokenizer: pieces of the same average length, matched from the left."""


@dataclass(slots=True)
class PrefixCache:
    """Prefix cache of a provider: hashes of each prompt's beginnings that end with a whole block."""

    tokens: int = 0
    reused: int = 0
    prompts: int = 0
    _known: set[int] = field(default_factory=set)

    def ask(self, messages: tuple[Message, ...]) -> None:
        size, beginnings = _beginnings(messages)
        common = 0
        for beginning in beginnings:
            if beginning not in self._known:
                break
            common += BLOCK_TOKENS
        self.prompts += 1
        self.tokens += size
        self.reused += common if common >= MIN_TOKENS else 0
        self._known.update(beginnings)

    @property
    def share(self) -> float:
        return self.reused / self.tokens


def _beginnings(messages: tuple[Message, ...]) -> tuple[int, list[int]]:
    """Size of a prompt in tokens, and a hash of each of its beginnings, block by block."""
    tokens = [
        token for message in messages for token in (message.role, *_TOKEN.findall(message.text))
    ]
    found, last = [], 0
    for at in range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS):
        last = hash((last, *tokens[at - BLOCK_TOKENS : at]))
        found.append(last)
    return len(tokens), found


@dataclass(slots=True)
class ScriptedModel:
    """`Model` that gives the answers of `talk`, and summaries of first sentences."""

    talk: SampleConversation
    turns: PrefixCache = field(default_factory=PrefixCache)
    summary_tokens: int = 0

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta, None]:
        if prompt.messages[0].text.startswith("You keep the notes"):
            self.summary_tokens += _beginnings(prompt.messages)[0]
            lines = [line for line in prompt.messages[-1].text.splitlines() if line.strip()]
            yield AnswerDelta("\n".join(line[:100].rpartition(" ")[0] for line in lines[::3]))
            return
        self.turns.ask(prompt.messages)
        yield AnswerDelta(self.talk.answer(self.turns.prompts - 1))

    async def aclose(self) -> None:
        """Nothing to close."""


async def run_keepthread(
    client: Any, context: PromptBuilder, talk: SampleConversation, turns: int
) -> ScriptedModel:
    """Run `talk` through the handler; each summary is ready before the next message."""
    history = RedisHistory(client, f"prefix-{talk.place}", timedelta(hours=1))
    model = ScriptedModel(talk)
    compactor = Compactor(history, model, context)
    handler = Handler(history, model, NoopTracer(), context, compactor)
    for at in range(turns):
        done = await handler.handle(Request(talk.asked(at)), NullReply())
        assert done.state == "complete"
        await compactor.wait_idle()
    return model


def run_turn_window(context: PromptBuilder, talk: SampleConversation, turns: int) -> PrefixCache:
    """Run `talk` with a window of as many turns as the budget holds on average."""
    said, sizes = _answered_turns(talk, turns)
    most = int(context.budget_tokens / statistics.mean(sizes))
    cache = PrefixCache()
    for at, turn in enumerate(said):
        cache.ask(_prompt(context, said[max(0, at - most) : at], turn))
    return cache


def run_token_window(context: PromptBuilder, talk: SampleConversation, turns: int) -> PrefixCache:
    """Run `talk` with the newest turns that fit into the budget."""
    said, sizes = _answered_turns(talk, turns)
    cache = PrefixCache()
    start, used = 0, 0
    for at, turn in enumerate(said):
        while used + sizes[at] > context.budget_tokens:
            used -= sizes[start]
            start += 1
        cache.ask(_prompt(context, said[start:at], turn))
        used += sizes[at]
    return cache


def _answered_turns(talk: SampleConversation, turns: int) -> tuple[list[Turn], list[int]]:
    said = [talk.answered(at) for at in range(turns)]
    return said, [tokens_of(turn) for turn in said]


def _prompt(context: PromptBuilder, past: list[Turn], new: Turn) -> tuple[Message, ...]:
    earlier = [message for turn in past for message in messages_of(turn)]
    return Message("system", context.system), *earlier, messages_of(new)[0]


async def measure(turns: int = TURNS) -> Table:
    settings = Settings.load(redis_url="redis://unused")
    context = PromptBuilder(
        settings.bot_system_prompt, settings.bot_history_tokens, settings.bot_history_low_water
    )
    talk = SampleConversation("C0PREFIX")
    async with DurableRedis() as server, Redis(port=server.port) as client:
        ours = await run_keepthread(client, context, talk, turns)
    slid = run_turn_window(context, talk, turns)
    with_summaries = ours.turns.reused / (ours.turns.tokens + ours.summary_tokens)
    return Table(
        f"Prompt cache: {turns} turns, {context.budget_tokens:,} tokens of window",
        ("", "tokens a prompt", "reusable", "with summaries"),
        (
            _row("Keepthread", ours.turns, share(with_summaries)),
            _row("sliding window of turns", slid, "-"),
            _row("sliding window of tokens", run_token_window(context, talk, turns), "-"),
        ),
        (
            Promise(
                "reusable, Keepthread, %",
                100 * ours.turns.share,
                OURS_AT_LEAST_PERCENT,
                "at least",
            ),
            Promise(
                "reusable, sliding window of turns, %", 100 * slid.share, SLIDING_AT_MOST_PERCENT
            ),
        ),
    )


def _row(name: str, cache: PrefixCache, with_summaries: str) -> tuple[str, ...]:
    return name, number(cache.tokens / cache.prompts), share(cache.share), with_summaries


def tables() -> Iterator[Table]:
    yield asyncio.run(measure())
