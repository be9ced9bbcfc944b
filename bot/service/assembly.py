"""Assembly of a service's parts from its settings: Redis links, the inbox, the worker."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack

from bot.commands.call import Services
from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.memory.recent import RecentConversations
from bot.metrics import Metrics
from bot.model.transcription import Transcriber
from bot.ports import Connection
from bot.settings import Settings
from bot.storage.client import READ_TIMEOUT_S, WORKER_RETRY_S, RedisLink, connect
from bot.storage.durability import Durability
from bot.storage.fail_over import FailOvers
from bot.turns.preparation import TurnPreparation
from bot.wiring import Components
from bot.worker.executor import TurnExecutor
from bot.worker.options import Timing, WorkerOptions
from bot.worker.worker import Worker

CHARS_PER_TOKEN = 3


async def open_link(
    stack: AsyncExitStack,
    settings: Settings,
    retry_for_s: float,
    fail_overs: FailOvers,
    *,
    is_blocking: bool = False,
) -> RedisLink:
    """A link that `stack` closes; `is_blocking`: without read time-out, for blocking reads."""
    link = await connect(
        settings,
        retry_for_s=retry_for_s,
        read_timeout_s=None if is_blocking else READ_TIMEOUT_S,
        fail_overs=fail_overs,
    )
    stack.push_async_callback(link.aclose)
    return link


def build_inbox(link: RedisLink, settings: Settings) -> Inbox:
    return Inbox(
        link.client,
        InboxKeys(settings.bot_redis_prefix, settings.bot_shards),
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


async def open_worker(
    stack: AsyncExitStack,
    components: Components,
    services: Services,
    recent: RecentConversations,
    metrics: Metrics,
    connections: Mapping[str, Connection],
) -> Worker:
    """A worker that is not running yet, on links of its own that wait out an outage of Redis."""
    settings = components.settings
    fail_overs = components.store.fail_overs
    link = await open_link(stack, settings, WORKER_RETRY_S, fail_overs)
    blocking = await open_link(stack, settings, WORKER_RETRY_S, fail_overs, is_blocking=True)
    transcriber = Transcriber(settings)
    stack.push_async_callback(transcriber.aclose)
    preparation = TurnPreparation(
        components.history,
        transcriber,
        max_chars=components.handler.prompt_builder.budget_tokens * CHARS_PER_TOKEN // 2,
        sees_images=not settings.uses_local_model,
    )
    executor = TurnExecutor(
        services,
        components.commands,
        connections,
        preparation,
        recent,
        metrics,
        settings.bot_max_attempts,
    )
    return Worker(
        build_inbox(link, settings),
        blocking.client,
        executor.execute,
        metrics,
        WorkerOptions(
            name=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}",
            max_turns=settings.bot_max_turns,
            max_turns_per_person=settings.bot_max_turns_per_person,
            timing=Timing(lease_s=settings.bot_lease_s),
        ),
        fail_overs,
    )
