"""HTTP server of a service: probes with their reasons, metrics, and routes of adapters."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.errors import SettingsError
from bot.metrics import Metrics
from bot.service.http import create_app, serve


def server(wrong: dict[str, str], *routes: Route) -> object:
    async def probe() -> dict[str, str]:
        return wrong

    async def healthy() -> dict[str, str]:
        return {}

    async def metrics() -> bytes:
        return Metrics().render()

    return create_app(routes, healthy, probe, metrics)


def client(port: int) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}")


async def test_a_probe_answers_503_with_the_faults_or_200() -> None:
    wrong: dict[str, str] = {}
    async with serve(server(wrong), "127.0.0.1", 0) as port, client(port) as web:
        good = await web.get("/readyz")
        assert (good.status_code, good.json()) == (200, {"ok": True, "wrong": {}})
        wrong["slack"] = "no pong for 61 s"
        bad = await web.get("/readyz")
        assert (bad.status_code, bad.json()["wrong"]) == (503, {"slack": "no pong for 61 s"})
        assert (await web.head("/readyz")).status_code == 503, "as load balancers ask"
        assert (await web.get("/healthz")).status_code == 200
        assert (await web.get("/nowhere")).status_code == 404
        assert "server" not in bad.headers


async def test_metrics_have_the_format_of_prometheus() -> None:
    async with serve(server({}), "127.0.0.1", 0) as port, client(port) as web:
        answer = await web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    names = {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")}
    assert {"keepthread_messages_total", "keepthread_turn_seconds"} <= names
    assert "process_resident_memory_bytes" in names


async def test_services_of_one_process_have_metrics_of_their_own() -> None:
    first, other = Metrics(), Metrics()
    first.dead.inc()
    assert b"keepthread_dead_letters_total 1.0" in first.render()
    assert b"keepthread_dead_letters_total 0.0" in other.render()


async def test_a_running_request_is_answered_before_the_server_ends() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        began.set()
        await go_on.wait()
        return PlainTextResponse("done")

    async with httpx2.AsyncClient() as web:
        async with serve(server({}, Route("/hook", slow)), "127.0.0.1", 0) as port:
            asked = asyncio.create_task(web.get(f"http://127.0.0.1:{port}/hook"))
            await began.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert (await asked).text == "done"
        with pytest.raises(httpx2.ConnectError):
            await web.get(f"http://127.0.0.1:{port}/hook")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
async def test_a_foreign_address_is_refused_with_its_cure(host: str) -> None:
    with pytest.raises(SettingsError) as caught:
        async with serve(server({}), host, 0):
            pass
    assert f"cannot listen on {host}:0" in str(caught.value)
    assert "BOT_HTTP_HOST" in caught.value.cure
