"""`keepthread serve`: every configured platform, the inbox, a worker and the HTTP server, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from bot.background import cancel_all
from bot.commands.call import Services
from bot.errors import KeepthreadError
from bot.inbox.dead_letters import DeadLetters
from bot.inbox.inbox import Inbox
from bot.inbox.stats import InboxStats
from bot.memory.recent import RecentConversations
from bot.memory.sessions import Sessions
from bot.metrics import Metrics
from bot.model.local.lazy import LazyModel
from bot.plugins import ConfiguredAdapter, adapters, configured_adapters
from bot.ports import Adapter, Connection
from bot.service.assembly import build_inbox, open_link, open_worker
from bot.service.base_core import command_services
from bot.service.health import HealthProbes
from bot.service.http import create_app, serve
from bot.service.notices import FullMailboxNotices
from bot.service.queued_core import QueuedCore, stop_in_inbox
from bot.service.receiving import receive_forever
from bot.settings import Settings
from bot.storage.client import INGRESS_RETRY_S, WORKER_RETRY_S
from bot.storage.rights import require_rights
from bot.wiring import Components, open_components
from bot.worker.worker import Worker

log = structlog.get_logger("keepthread.service")

Role = Literal["all", "ingress", "worker"]


@dataclass(frozen=True, slots=True)
class Service:
    """A running service.

    Attributes:
        services: the services that commands work with.
        worker: None in a process with the ingress role alone.
        port: port of probes and webhooks.
        broken: set when the worker failed: the process is to be ended, and started anew.
    """

    core: QueuedCore
    services: Services
    connections: Mapping[str, Connection]
    metrics: Metrics
    inbox: Inbox
    dead_letters: DeadLetters
    stats: InboxStats
    worker: Worker | None
    probes: HealthProbes
    port: int
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
        StoreRefused: the user of Redis lacks a right; the cure says how to give it.
        PlatformRefused: a platform does not let us in; the cure says what to do.
    """
    configured = configured_adapters((adapters() if platforms is None else platforms).values())
    async with AsyncExitStack() as stack:
        components = await stack.enter_async_context(
            open_components(
                settings, retry_for_s=WORKER_RETRY_S, dedicated_writes=role != "ingress"
            )
        )
        if settings.redis_url is not None:
            await require_rights(components.store.client, settings)
        service = await _assemble(stack, components, configured, role, ingress_retry_s)
        _start(stack, service, components)
        log.info("serving", role=role, platforms=sorted(service.connections), port=service.port)
        try:
            yield service
        finally:
            service.probes.begin_draining()


async def _assemble(
    stack: AsyncExitStack,
    components: Components,
    configured: Sequence[ConfiguredAdapter],
    role: Role,
    ingress_retry_s: float,
) -> Service:
    """All parts, with connections and the HTTP server open; leaving `stack` closes them in reverse."""
    settings = components.settings
    ingress = await open_link(stack, settings, ingress_retry_s, components.store.fail_overs)
    metrics = Metrics()
    components.handler.compactor.on_outcome = lambda outcome: metrics.compactions.labels(
        outcome
    ).inc()
    connections: dict[str, Connection] = {}
    inbox = build_inbox(ingress, settings)
    ttl_s = settings.bot_history_ttl_days * 86_400
    sessions = Sessions(ingress.client, components.history)
    recent = RecentConversations(ingress.client, settings.bot_redis_prefix, ttl_s, sessions)
    services = command_services(components, sessions, stop_in_inbox(inbox))
    worker = None
    if role != "ingress":
        worker = await open_worker(stack, components, services, recent, metrics, connections)
    notices = FullMailboxNotices(connections)
    on_hold = None if worker is None else worker.expect_due
    core = QueuedCore(components, services, inbox, recent, notices, metrics, on_hold)
    for adapter in configured:
        connection = await adapter.open(core)
        stack.push_async_callback(connection.aclose)
        connections[adapter.name] = connection
        components.access.ask_platform(adapter.name, connection.is_admin)
    stack.push_async_callback(notices.aclose)
    stats = InboxStats(ingress.client, inbox.keys)
    probes = HealthProbes(connections, metrics, inbox, stats, worker, receives=role != "worker")
    port = await _serve_http(stack, settings, probes)
    letters = DeadLetters(ingress.client, inbox)
    return Service(
        core, services, connections, metrics, inbox, letters, stats, worker, probes, port
    )


def _start(stack: AsyncExitStack, service: Service, components: Components) -> None:
    """Start worker and receive loops; leaving `stack` ends the loops first, then drains the worker."""
    if service.worker is not None:
        if isinstance(components.model, LazyModel):
            _start_task(stack, "warm-up", _warm_up(components.model))
        working = asyncio.create_task(_run_worker(service.worker, service.broken), name="worker")
        stack.push_async_callback(_drain, service.worker, working, components.settings.bot_drain_s)
    if service.probes.receives:
        for platform, connection in service.connections.items():
            _start_task(stack, f"receive {platform}", receive_forever(platform, connection))


async def _serve_http(
    stack: AsyncExitStack,
    settings: Settings,
    probes: HealthProbes,
) -> int:
    """Serve probes, and the webhooks of a process that receives. The port."""
    routes = []
    if probes.receives:
        routes = [
            route for connection in probes.connections.values() for route in connection.routes()
        ]
    app = create_app(routes, probes.health, probes.readiness, probes.render_metrics)
    return await stack.enter_async_context(
        serve(app, settings.bot_http_host, settings.bot_http_port)
    )


def _start_task(stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until `stack` is left."""
    task = asyncio.create_task(work, name=name)
    stack.push_async_callback(cancel_all, (task,))


async def _drain(worker: Worker, working: asyncio.Task[None], grace_s: float) -> None:
    await worker.drain(grace_s)
    await working


async def _run_worker(worker: Worker, broken: asyncio.Event) -> None:
    try:
        await worker.run()
    except Exception:
        log.exception("worker failed")
        broken.set()


async def _warm_up(model: LazyModel) -> None:
    """Fetch and load the local model before the first message asks for it."""
    try:
        await model.start()
    except KeepthreadError as error:
        log.error("local model not ready", error=str(error), cure=error.cure)
