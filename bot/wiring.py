"""Builds everything from Settings, and closes it in reverse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.access import Authorizer
from bot.commands import COMMANDS
from bot.errors import SettingsError
from bot.memory.compaction import Compactor
from bot.memory.history import RedisHistory
from bot.memory.sessions import Sessions
from bot.model.factory import build_model
from bot.model.local.runtime import LocalRuntime
from bot.plugins import local_adapters
from bot.ports import Model, Tracer
from bot.prompt.builder import PromptBuilder
from bot.settings import Settings
from bot.storage.client import connect
from bot.storage.key_value import RedisKeyValueStore
from bot.storage.vault import RedisVault
from bot.tracing import build_tracer
from bot.turns.handler import Handler

LOCAL_HISTORY_TOKENS = 2_500
"""One core reads about 40 tokens a second: this is a minute when nothing is cached. With an answer of bot.model.local.lazy.LOCAL_ANSWER_TOKENS a quarter of what the local model has room for."""

LEAST_ROOM_TOKENS = 100
"""A short question, at least, has to fit."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much of it."""


@dataclass(frozen=True, slots=True)
class Store:
    """Redis, and what is remembered there."""

    client: Any
    description: str
    history: RedisHistory
    sessions: Sessions
    is_cluster: bool = False


@dataclass(frozen=True, slots=True)
class Bot:
    """Everything that answers turns."""

    settings: Settings
    store: Store
    history: RedisHistory
    sessions: Sessions
    model: Model
    tracer: Tracer
    handler: Handler
    access: Authorizer
    vault: RedisVault
    key_values: RedisKeyValueStore


@asynccontextmanager
async def open_store(
    settings: Settings, *, max_connections: int = 64, patient: bool = False
) -> AsyncIterator[Store]:
    """Redis, the embedded one if none is set."""
    link = await connect(settings, max_connections=max_connections, patient=patient)
    try:
        ttl = timedelta(days=settings.bot_history_ttl_days)
        history = RedisHistory(link.client, settings.bot_redis_prefix, ttl)
        sessions = Sessions(link.client, history)
        yield Store(link.client, link.describe(), history, sessions, link.is_cluster)
    finally:
        await link.aclose()


@asynccontextmanager
async def open_bot(
    settings: Settings, *, progress: Progress | None = None, patient: bool = False
) -> AsyncIterator[Bot]:
    """The whole bot without its platforms. `patient`: it waits for Redis longer than a platform would."""
    async with AsyncExitStack() as stack:
        tracer = build_tracer(settings)
        stack.push_async_callback(tracer.aclose)
        store = await stack.enter_async_context(open_store(settings, patient=patient))

        runtime: LocalRuntime | None = None

        async def start_local() -> tuple[str, str]:
            nonlocal runtime
            if runtime is None:
                runtime = await LocalRuntime.start(settings, progress)
                stack.push_async_callback(runtime.aclose)
            return await runtime.ready()

        model = build_model(settings, start_local)
        stack.push_async_callback(model.aclose)
        context = _context(settings)
        compactor = Compactor(store.history, model, context, settings.bot_summarize)
        stack.push_async_callback(compactor.aclose)
        handler = Handler(store.history, model, tracer, context, compactor)
        access = Authorizer(
            settings.bot_allow,
            settings.bot_admins,
            settings.bot_platform_admins,
            admin_actions=COMMANDS.admin_actions,
            local_platforms=local_adapters(),
        )
        vault = RedisVault(store.client, settings.bot_redis_prefix, settings.bot_encryption_key)
        yield Bot(
            settings,
            store,
            store.history,
            store.sessions,
            model,
            tracer,
            handler,
            access,
            vault,
            RedisKeyValueStore(store.client, settings.bot_redis_prefix),
        )


def _context(settings: Settings) -> PromptBuilder:
    context = PromptBuilder(
        settings.bot_system_prompt, _budget(settings), settings.bot_history_low_water
    )
    if context.room_tokens < LEAST_ROOM_TOKENS:
        raise SettingsError(
            f"BOT_SYSTEM_PROMPT leaves {max(0, context.room_tokens)} of {context.budget_tokens} tokens: "
            "no message fits",
            cure="Shorten it, or raise BOT_HISTORY_TOKENS.",
        )
    return context


def _budget(settings: Settings) -> int:
    if settings.uses_local_model and "bot_history_tokens" not in settings.model_fields_set:
        return LOCAL_HISTORY_TOKENS
    return settings.bot_history_tokens
