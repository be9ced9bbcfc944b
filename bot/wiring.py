"""Composition root: builds the components from settings, and closes them in reverse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.access import Authorizer
from bot.commands import Registry, load_commands
from bot.errors import SettingsError
from bot.memory.compaction import Compactor
from bot.memory.history import RedisHistory
from bot.memory.sessions import Sessions
from bot.model.factory import build_model
from bot.model.local.runtime import LocalRuntime
from bot.model.local.weights.spec import ProgressCallback
from bot.plugins import local_adapters
from bot.ports import Model, Tracer
from bot.prompt.builder import PromptBuilder
from bot.settings import Settings
from bot.storage.client import INGRESS_RETRY_S, connect
from bot.storage.dedicated_connection import DedicatedConnection
from bot.storage.fail_over import FailOvers
from bot.storage.key_value import RedisKeyValueStore
from bot.storage.vault import RedisVault
from bot.tracing import build_tracer
from bot.turns.handler import Handler

LOCAL_HISTORY_TOKENS = 2_500
"""Token budget of a conversation with the local model.

One CPU core reads about 40 tokens a second: this is a minute when nothing is cached. With an answer of
bot.model.local.lazy.LOCAL_ANSWER_TOKENS it fills a quarter of the local model's context.
"""

MIN_ROOM_TOKENS = 100
"""Least tokens that the system prompt must leave: a short question has to fit."""


@dataclass(frozen=True, slots=True)
class Store:
    """Redis, and the memory in it.

    Attributes:
        fail_overs: to be shared with further links to the same Redis.
    """

    client: Any
    description: str
    history: RedisHistory
    sessions: Sessions
    fail_overs: FailOvers
    is_cluster: bool = False


@dataclass(frozen=True, slots=True)
class Components:
    """Parts of a running bot that know no platform."""

    settings: Settings
    store: Store
    model: Model
    tracer: Tracer
    handler: Handler
    access: Authorizer
    commands: Registry
    vault: RedisVault
    key_values: RedisKeyValueStore

    @property
    def history(self) -> RedisHistory:
        return self.store.history

    @property
    def sessions(self) -> Sessions:
        return self.store.sessions


@asynccontextmanager
async def open_store(
    settings: Settings,
    *,
    max_connections: int = 64,
    retry_for_s: float = INGRESS_RETRY_S,
    dedicated_writes: bool = False,
) -> AsyncIterator[Store]:
    """Connect to Redis, or to the embedded server where none is set.

    Args:
        retry_for_s: see `bot.storage.client.connect`.
        dedicated_writes: write answers over a connection of their own, so that none waits for the pool.
    """
    async with AsyncExitStack() as stack:
        fail_overs = FailOvers()
        link = await connect(
            settings,
            max_connections=max_connections,
            retry_for_s=retry_for_s,
            fail_overs=fail_overs,
        )
        stack.push_async_callback(link.aclose)
        dedicated: DedicatedConnection | None = None
        if dedicated_writes and not link.is_cluster:
            dedicated = DedicatedConnection(link.client)
            stack.push_async_callback(dedicated.aclose)
        ttl = timedelta(days=settings.bot_history_ttl_days)
        history = RedisHistory(link.client, settings.bot_redis_prefix, ttl, dedicated=dedicated)
        sessions = Sessions(link.client, history)
        name = link.describe()
        yield Store(link.client, name, history, sessions, fail_overs, link.is_cluster)


@asynccontextmanager
async def open_components(
    settings: Settings,
    *,
    progress: ProgressCallback | None = None,
    retry_for_s: float = INGRESS_RETRY_S,
    dedicated_writes: bool = False,
) -> AsyncIterator[Components]:
    """Build all components; arguments as for `open_store`."""
    async with AsyncExitStack() as stack:
        tracer = build_tracer(settings)
        stack.push_async_callback(tracer.aclose)
        store = await stack.enter_async_context(
            open_store(settings, retry_for_s=retry_for_s, dedicated_writes=dedicated_writes)
        )

        runtime: LocalRuntime | None = None

        async def start_local() -> tuple[str, str]:
            nonlocal runtime
            if runtime is None:
                runtime = await LocalRuntime.start(settings, progress)
                stack.push_async_callback(runtime.aclose)
            return await runtime.ensure_running()

        key_values = RedisKeyValueStore(store.client, settings.bot_redis_prefix)
        model = build_model(settings, start_local, key_values)
        stack.push_async_callback(model.aclose)
        handler = _handler(settings, store.history, model, tracer, key_values)
        stack.push_async_callback(handler.compactor.aclose)
        commands = load_commands()
        yield Components(
            settings,
            store,
            model,
            tracer,
            handler,
            _authorizer(settings, commands),
            commands,
            RedisVault(store.client, settings.bot_redis_prefix, settings.bot_encryption_key),
            key_values,
        )


def _handler(
    settings: Settings,
    history: RedisHistory,
    model: Model,
    tracer: Tracer,
    key_values: RedisKeyValueStore,
) -> Handler:
    """The handler, with its compactor."""
    builder = _prompt_builder(settings)
    compactor = Compactor(history, model, builder, settings.bot_summarize, key_values=key_values)
    shows = settings.bot_show_thinking
    return Handler(history, model, tracer, builder, compactor, show_thinking=shows)


def _authorizer(settings: Settings, commands: Registry) -> Authorizer:
    return Authorizer(
        settings.bot_allow,
        settings.bot_admins,
        settings.bot_platform_admins,
        admin_actions=commands.admin_actions,
        local_platforms=local_adapters(),
    )


def _prompt_builder(settings: Settings) -> PromptBuilder:
    context = PromptBuilder(
        settings.bot_system_prompt, _budget_tokens(settings), settings.bot_history_low_water
    )
    if context.room_tokens < MIN_ROOM_TOKENS:
        raise SettingsError(
            f"BOT_SYSTEM_PROMPT leaves {max(0, context.room_tokens)} of {context.budget_tokens} tokens: "
            "no message fits",
            cure="Shorten it, or raise BOT_HISTORY_TOKENS.",
        )
    return context


def _budget_tokens(settings: Settings) -> int:
    if settings.uses_local_model and "bot_history_tokens" not in settings.model_fields_set:
        return LOCAL_HISTORY_TOKENS
    return settings.bot_history_tokens
