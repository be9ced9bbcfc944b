"""`keepthread serve`: every configured platform, the inbox, a worker and the HTTP server, in one process."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from bot.background import cancel_all
from bot.errors import KeepthreadError
from bot.inbox.dead_letters import DeadLetters
from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.inbox.stats import InboxStats
from bot.memory.recent import RecentConversations
from bot.memory.sessions import Sessions
from bot.metrics import Metrics
from bot.model.local.lazy import LazyModel
from bot.model.transcription import Transcriber
from bot.plugins import adapters, configured_adapters
from bot.ports import Adapter, Connection, Model
from bot.service.health import HealthProbes
from bot.service.http import app, serving
from bot.service.queued_core import QueuedCore
from bot.settings import Settings
from bot.storage.client import INGRESS_RETRY_S, WORKER_RETRY_S, RedisLink, connect
from bot.storage.durability import Durability
from bot.turns.preparation import TurnPreparation
from bot.wiring import Components, open_components
from bot.worker.executor import TurnExecutor
from bot.worker.options import Timing, WorkerOptions
from bot.worker.worker import Worker

log = structlog.get_logger("keepthread.service")

Role = Literal["all", "ingress", "worker"]
CHARS_A_TOKEN = 3


@dataclass(slots=True)
class Service:
    """A running service.

    Attributes:
        port: where probes and webhooks listen.
        worker: None in a process that only takes messages in.
        broken: set when the worker broke: the process is better ended, and started anew.
    """

    core: QueuedCore
    connections: dict[str, Connection]
    metrics: Metrics
    inbox: Inbox
    dead_letters: DeadLetters
    stats: InboxStats
    worker: Worker | None
    probes: HealthProbes
    port: int = 0
    broken: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    role: Role = "all",
    platforms: Mapping[str, Adapter[Any]] | None = None,
    ingress_retry_s: float = INGRESS_RETRY_S,
) -> AsyncIterator[Service]:
    """Run a service until left; then drain it (`BOT_DRAIN_S`).

    Args:
        ingress_retry_s: how long taking a message in may wait for Redis; platforms wait 3 s and more for the
            acknowledgement.

    Raises:
        SettingsError: no platform is configured, or the port is taken.
        PlatformRefused: a platform does not let us in; the cure says what to do.
    """
    configured = configured_adapters((adapters() if platforms is None else platforms).values())
    async with AsyncExitStack() as stack:
        components = await stack.enter_async_context(
            open_components(
                settings, retry_for_s=WORKER_RETRY_S, dedicated_writes=role != "ingress"
            )
        )
        ingress = await _link(stack, settings, ingress_retry_s)
        metrics = Metrics()
        connections: dict[str, Connection] = {}
        keys = InboxKeys(settings.bot_redis_prefix, settings.bot_shards)
        ttl_s = settings.bot_history_ttl_days * 86_400
        sessions = Sessions(ingress.client, components.history)
        recent = RecentConversations(ingress.client, settings.bot_redis_prefix, ttl_s, sessions)
        inbox = _inbox(ingress, keys, settings)
        core = QueuedCore(components, inbox, sessions, recent, metrics, connections)
        worker = None
        if role != "ingress":
            worker = await _worker(stack, components, core, recent, metrics, connections, keys)
            core.on_put_off = worker.expect_due
        for adapter in configured:
            connection = await adapter.open(core)
            stack.push_async_callback(connection.aclose)
            connections[adapter.name] = connection
            components.access.ask_platform(adapter.name, connection.is_admin)
        stack.push_async_callback(core.aclose)
        stats = InboxStats(ingress.client, keys)
        probes = HealthProbes(connections, metrics, inbox, stats, worker, listens=role != "worker")
        letters = DeadLetters(ingress.client, inbox)
        service = Service(core, connections, metrics, inbox, letters, stats, worker, probes)
        await _run(stack, service, components.model, settings)
        log.info("serving", role=role, platforms=sorted(connections), port=service.port)
        try:
            yield service
        finally:
            probes.draining = True


async def _run(stack: AsyncExitStack, service: Service, model: Model, settings: Settings) -> None:
    """Start everything, so that leaving `stack` stops it in the right order: ears first, probes last."""
    probes, routes = service.probes, []
    if probes.listens:
        routes = [route for one in service.connections.values() for route in one.routes()]
    application = app(routes, probes.health, probes.readiness, probes.render_metrics)
    service.port = await stack.enter_async_context(
        serving(application, settings.bot_http_host, settings.bot_http_port)
    )
    if service.worker is not None:
        if isinstance(model, LazyModel):
            warming = asyncio.create_task(_warm(model), name="warm")
            stack.push_async_callback(cancel_all, (warming,))
        working = asyncio.create_task(_work(service, service.worker), name="worker")

        async def stop_working() -> None:
            assert service.worker is not None  # noqa: S101  narrowed above
            await service.worker.drain(settings.bot_drain_s)
            await working

        stack.push_async_callback(stop_working)
    if not probes.listens:
        return
    ears = [
        asyncio.create_task(_receive(name, one), name=f"receive {name}")
        for name, one in service.connections.items()
    ]

    stack.push_async_callback(cancel_all, ears)


async def _work(service: Service, worker: Worker) -> None:
    try:
        await worker.run()
    except Exception:
        log.exception("the worker broke")
        service.broken.set()


async def _warm(model: LazyModel) -> None:
    """Have the local model fetched and loaded before the first message asks for it."""
    try:
        await model.start()
    except KeepthreadError as error:
        log.error("the local model is not ready", error=str(error), cure=error.cure)


async def _receive(name: str, connection: Connection) -> None:
    """Listen for ever; what ends it is logged, and it begins anew."""
    pause_s = 1.0
    while True:
        started_at = time.monotonic()
        try:
            await connection.receive()
            return  # it has no ears of its own: its messages come by HTTP
        except KeepthreadError as error:
            log.error("a platform is not heard", platform=name, error=str(error), cure=error.cure)
        except Exception:
            log.exception("a platform is not heard", platform=name)
        pause_s = 1.0 if time.monotonic() - started_at > 60 else min(30, pause_s * 2)
        await asyncio.sleep(pause_s)


async def _link(stack: AsyncExitStack, settings: Settings, retry_for_s: float) -> RedisLink:
    link = await connect(settings, retry_for_s=retry_for_s)
    stack.push_async_callback(link.aclose)
    return link


def _inbox(link: RedisLink, keys: InboxKeys, settings: Settings) -> Inbox:
    return Inbox(
        link.client,
        keys,
        is_cluster=link.is_cluster,
        max_waiting=settings.bot_max_waiting,
        max_attempts=settings.bot_max_attempts,
        durability=Durability(
            link.client,
            is_cluster=link.is_cluster,
            disk=settings.bot_wait_for_disk,
            replicas=settings.bot_wait_for_replicas,
        ),
    )


async def _worker(
    stack: AsyncExitStack,
    components: Components,
    core: QueuedCore,
    recent: RecentConversations,
    metrics: Metrics,
    connections: dict[str, Connection],
    keys: InboxKeys,
) -> Worker:
    settings = components.settings
    link = await _link(stack, settings, WORKER_RETRY_S)
    waiting = await connect(settings, retry_for_s=WORKER_RETRY_S, read_timeout_s=None)
    stack.push_async_callback(waiting.aclose)
    transcriber = Transcriber(settings)
    stack.push_async_callback(transcriber.aclose)
    preparation = TurnPreparation(
        components.history,
        transcriber,
        max_chars=components.handler.context.budget_tokens * CHARS_A_TOKEN // 2,
        sees_images=not settings.uses_local_model,
    )
    executor = TurnExecutor(
        core,
        components.commands,
        connections,
        preparation,
        recent,
        metrics,
        settings.bot_max_attempts,
    )
    return Worker(
        _inbox(link, keys, settings),
        waiting.client,
        executor.execute,
        metrics,
        WorkerOptions(
            name=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}",
            max_turns=settings.bot_max_turns,
            max_turns_per_person=settings.bot_max_turns_per_person,
            timing=Timing(lease_s=settings.bot_lease_s),
        ),
    )
