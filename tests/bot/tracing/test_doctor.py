"""The LangSmith check of `keepthread doctor`."""

from __future__ import annotations

from bot.tracing import check
from tests.fakes.free_ports import free_port
from tests.fakes.langsmith_server import LangSmithServer
from tests.support.tracing_harness import KEY, tracing_settings


async def test_doctor_tells_off_ok_refused_and_unreachable_apart(
    langsmith_server: LangSmithServer,
) -> None:
    (off,) = await check(tracing_settings(langsmith_server.url, langsmith_tracing=False))
    (ok,) = await check(tracing_settings(langsmith_server.url))
    (refused,) = await check(tracing_settings(langsmith_server.url, langsmith_api_key="wrong"))
    (keyless,) = await check(
        tracing_settings("https://api.smith.langchain.com", langsmith_api_key=None)
    )
    (nowhere,) = await check(tracing_settings(f"http://127.0.0.1:{free_port()}"))
    langsmith_server.fault = "500"
    (broken,) = await check(tracing_settings(langsmith_server.url))
    assert [check.state for check in (off, ok, refused, keyless, nowhere, broken)] == [
        "off",
        "ok",
        "failed",
        "failed",
        "failed",
        "failed",
    ]
    assert "LANGSMITH_API_KEY" in refused.cure
    assert "LANGSMITH_API_KEY" in keyless.cure
    assert "LANGSMITH_ENDPOINT" in nowhere.cure
    assert "LANGSMITH_ENDPOINT" in broken.cure
    assert KEY not in repr([off, ok, refused, keyless, nowhere, broken])


async def test_doctor_shows_no_password_of_the_address() -> None:
    (line,) = await check(tracing_settings(f"http://me:{KEY}@127.0.0.1:{free_port()}"))
    assert line.state == "failed"
    assert KEY not in str(line)


async def test_doctor_gives_up_on_an_endpoint_that_hangs(langsmith_server: LangSmithServer) -> None:
    langsmith_server.fault = "hang"
    (held,) = await check(tracing_settings(langsmith_server.url))
    assert held.state == "failed"
    assert "cannot be reached" in held.detail
