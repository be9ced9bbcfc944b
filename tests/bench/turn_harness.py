"""Turn harness: the real handler and Redis, and a model server in another process.

Before each turn, and outside the measurement, the conversation is restored to its length.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from bot.memory.compaction import Compactor
from bot.memory.history import RedisHistory
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import Prompt, Tracer
from bot.prompt.builder import PromptBuilder
from bot.settings.core import DEFAULT_SYSTEM_PROMPT
from bot.turns.handler import Handler
from bot.turns.request import Request
from tests.bench.null_reply import NullReply
from tests.bench.prefill import TTL, fill
from tests.bench.sample_conversation import SampleConversation
from tests.faults.servers import DurableRedis

PREFIX = "turns"
MODEL, API_KEY = "loopback", "none"
BUDGET_TOKENS = 400_000
"""Large enough for every turn."""


@dataclass(frozen=True, slots=True)
class TurnHarness:
    """Handler, history and model client, with the model server at `model_url`."""

    model_url: str
    client: Redis
    history: RedisHistory
    context: PromptBuilder
    model: OpenAIModel

    def handler(self, tracer: Tracer) -> Handler:
        compactor = Compactor(self.history, self.model, self.context)
        return Handler(self.history, self.model, tracer, self.context, compactor)

    async def prepare(self, turns: int) -> Prompt:
        """Store a conversation of so many turns. Returns the prompt that `answer` will send."""
        talk = conversation_of(turns)
        await fill(self.client, PREFIX, talk, turns)
        for key in self.history.keys.state_turns_index(talk.session):
            await self.client.copy(key, f"{key}:kept")
        return self.context.build(await self.history.read(talk.session), talk.asked(turns))

    async def restore(self, turns: int) -> None:
        for key in self.history.keys.state_turns_index(conversation_of(turns).session):
            await self.client.copy(f"{key}:kept", key, replace=True)

    async def answer(self, handler: Handler, turns: int) -> None:
        """The next turn of the conversation of so many turns: read, model, append."""
        done = await handler.handle(Request(conversation_of(turns).asked(turns)), NullReply())
        assert done.state == "complete"


def conversation_of(turns: int) -> SampleConversation:
    return SampleConversation(f"C{turns}")


@asynccontextmanager
async def open_turn_harness() -> AsyncIterator[TurnHarness]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(process("tests.fakes.model_server"))
        redis = await stack.enter_async_context(DurableRedis())
        client = await stack.enter_async_context(Redis(port=redis.port))
        model = OpenAIModel(Endpoint(MODEL, API_KEY, url))
        stack.push_async_callback(model.aclose)
        context = PromptBuilder(DEFAULT_SYSTEM_PROMPT, BUDGET_TOKENS)
        yield TurnHarness(url, client, RedisHistory(client, PREFIX, TTL), context, model)


@asynccontextmanager
async def process(module: str) -> AsyncIterator[str]:
    """A loopback server as a process; yields the address it prints."""
    server = subprocess.Popen(  # noqa: ASYNC220  it returns at once
        [sys.executable, "-m", module], stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        yield (await asyncio.to_thread(server.stdout.readline)).decode().strip()
    finally:
        server.terminate()
        await asyncio.to_thread(server.wait)
        server.stdout.close()
