"""Builds everything from Settings, and closes it in reverse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import entry_points
from typing import Any, cast

from bot.access import Authorizer
from bot.commands import COMMANDS
from bot.compaction import Compactor
from bot.context import Context
from bot.errors import SettingsError
from bot.handler import Handler
from bot.history import RedisHistory
from bot.model.build import build_model
from bot.model.runtime import LocalRuntime
from bot.notes import RedisNotes
from bot.ports import Adapter, Model, Tracer
from bot.redis_client import connect
from bot.sessions import Sessions
from bot.settings import Settings, SettingsBase, refuse_misspelt
from bot.tracing import build_tracer
from bot.vault import RedisVault

LOCAL_HISTORY_TOKENS = 2_500
"""One core reads about 40 tokens a second: this is a minute when nothing is cached. With an answer of bot.model.build.LOCAL_ANSWER_TOKENS a quarter of what the local model has room for."""

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
    notes: RedisNotes


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
            RedisNotes(store.client, settings.bot_redis_prefix),
        )


def adapters() -> dict[str, Adapter]:
    """The installed platforms by name; a package may bring its own."""
    found = {
        point.name: cast("Adapter", point.load())
        for point in entry_points(group="keepthread.adapters")
    }
    return dict(sorted(found.items()))


def settings_classes() -> list[type[SettingsBase]]:
    """The core's settings, then those of each installed platform."""
    return [Settings, *(adapter.settings_class for adapter in adapters().values())]


def load_settings(**overrides: Any) -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: a name is misspelt or a value impossible.
    """
    refuse_misspelt(settings_classes())
    settings = Settings.load(**overrides)
    known = adapters()
    for item in (*settings.bot_allow, *settings.bot_admins):
        if item.partition(":")[0] not in known:
            raise SettingsError(
                f"BOT_ALLOW and BOT_ADMINS: {item!r} is of no platform that is installed",
                cure=f"Begin it with one of {', '.join(f'{name}:' for name in known)}.",
            )
    return settings


def _context(settings: Settings) -> Context:
    context = Context(settings.bot_system_prompt, _budget(settings), settings.bot_history_low_water)
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
