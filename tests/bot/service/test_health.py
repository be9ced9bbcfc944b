"""Health of a service: liveness, readiness and metrics over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from bot.errors import StoreUnavailable
from bot.ports import Health
from bot.settings import Settings
from bot.storage.client import INGRESS_RETRY_S
from tests.fakes.model_server import ModelServer, stall
from tests.fakes.redis_server import running_redis
from tests.support.messages import make_message
from tests.support.service_harness import RunningService, running_service
from tests.support.wait import wait_until


async def test_probes_and_metrics_follow_the_state_of_the_service(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("hello"))
        await wait_until(bot.answers)
        await wait_until(lambda: bot.is_idle())
        base = f"http://127.0.0.1:{bot.service.port}"
        async with httpx2.AsyncClient(base_url=base) as web:
            assert (await web.get("/healthz")).json() == {"ok": True, "wrong": {}}
            assert (await web.get("/readyz")).status_code == 200
            metrics = (await web.get("/metrics")).text
            assert 'keepthread_turns_total{outcome="complete",platform="loop"} 1.0' in metrics
            assert 'keepthread_messages_total{admission="queued",platform="loop"} 1.0' in metrics
            assert "\nkeepthread_ready 1.0\n" in metrics
            bot.platform.health = Health(False, "the line is dead")

            async def is_unready() -> bool:
                return "\nkeepthread_ready 0.0\n" in (await web.get("/metrics")).text

            await wait_until(is_unready, every_s=0.2)
            answer = await web.get("/readyz")
            assert (answer.status_code, answer.json()["wrong"]) == (
                503,
                {"loop": "the line is dead"},
            )
            assert (await web.get("/healthz")).status_code == 200, "a restart would not help yet"


async def get_probe(bot: RunningService, path: str) -> tuple[int, dict[str, str]]:
    """Status of a probe, and what it says is wrong."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{bot.service.port}") as web:
        answer = await web.get(path)
    return answer.status_code, answer.json()["wrong"]


async def test_a_platform_that_stays_disconnected_fails_the_liveness_of_processes_that_receive(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    disconnected = Health(False, "the line is dead")
    async with running_service(settings, tmp_path, model, role="ingress") as bot:
        bot.service.probes.max_disconnected_s = 0
        bot.platform.health = disconnected
        await get_probe(bot, "/readyz")
        assert await get_probe(bot, "/healthz") == (503, {"loop": "the line is dead"})
    async with running_service(settings, tmp_path, model, role="worker") as bot:
        bot.service.probes.max_disconnected_s = 0
        bot.platform.health = disconnected
        assert await get_probe(bot, "/readyz") == (200, {}), "it only speaks"
        assert await get_probe(bot, "/healthz") == (200, {})


async def test_an_outage_of_redis_fails_readiness_and_not_liveness(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_redis() as redis:
        url = SecretStr(f"redis://127.0.0.1:{redis.port}")
        async with running_service(
            settings, tmp_path, model, redis_url=url, ingress_retry_s=INGRESS_RETRY_S
        ) as bot:
            bot.service.probes.max_disconnected_s = 0
            await bot.service.probes.render_metrics()
            redis.kill()
            bot.platform.health = Health(False, "memory does not take it")
            status, wrong = await get_probe(bot, "/readyz")
            assert (status, "memory" in wrong["redis"]) == (503, True)
            assert await get_probe(bot, "/healthz") == (200, {})
            with pytest.raises(StoreUnavailable):
                await bot.enqueue(make_message("hello"))
            metrics = (await bot.service.probes.render_metrics()).decode()
            assert 'keepthread_redis_errors_total{kind="StoreUnavailable"}' in metrics
            assert "keepthread_queue_age_seconds NaN" in metrics
            assert "keepthread_queue_depth{" not in metrics
            bot.platform.health = Health(True)
            await redis.start()
            await wait_until(lambda: is_ready(bot))


async def is_seen(bot: RunningService, path: str, wanted: tuple[int, dict[str, str]]) -> bool:
    return await get_probe(bot, path) == wanted


async def is_ready(bot: RunningService) -> bool:
    return await get_probe(bot, "/readyz") == (200, {})


async def test_readiness_fails_while_the_last_answers_are_finished(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    model.default = stall("hm")
    async with AsyncExitStack() as stack:
        bot = await stack.enter_async_context(
            running_service(settings, tmp_path, model, bot_drain_s=60)
        )
        await bot.enqueue(make_message("hello"))
        await wait_until(lambda: bot.journal.read("show"))
        ending = asyncio.create_task(stack.pop_all().aclose())
        ended = (503, {"service": "it is being stopped"})
        await wait_until(lambda: is_seen(bot, "/readyz", ended))
        assert await get_probe(bot, "/healthz") == (200, {})
        await bot.service.inbox.stop(make_message("hello").session)
        await ending
