"""The tracer that settings and environment select."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_openai import ChatOpenAI

from bot.errors import SettingsError
from bot.tracing import LangSmithTracer, NoopTracer, build_tracer
from tests.fakes.langsmith_server import LangSmithServer
from tests.fakes.model_server import ModelServer
from tests.support.tracing_harness import (
    KEY,
    TRACE_THREE_TURNS,
    break_step,
    question,
    run_script,
    run_turn,
    tracing_settings,
)


async def test_the_old_names_of_the_settings_work(
    langsmith_server: LangSmithServer, tmp_path: Path
) -> None:
    said = await run_script(
        TRACE_THREE_TURNS,
        "close",
        cwd=tmp_path,
        LANGCHAIN_TRACING_V2="true",
        LANGCHAIN_API_KEY=KEY,
        LANGCHAIN_ENDPOINT=langsmith_server.url,
        LANGCHAIN_PROJECT="old",
    )
    assert said == "left LangSmithTracer\n"
    assert {run.session_name for run in langsmith_server.runs.values()} == {"old"}


async def test_langsmiths_own_privacy_switches_are_honoured(
    langsmith_server: LangSmithServer, tmp_path: Path
) -> None:
    await run_script(
        TRACE_THREE_TURNS,
        "close",
        cwd=tmp_path,
        LANGSMITH_TRACING="true",
        LANGSMITH_API_KEY=KEY,
        LANGSMITH_ENDPOINT=langsmith_server.url,
        LANGSMITH_HIDE_INPUTS="true",
        LANGSMITH_HIDE_OUTPUTS="true",
    )
    assert len(langsmith_server.runs) == 3
    assert {run.metadata["thread_id"] for run in langsmith_server.runs.values()} == {"talk"}
    assert b"hello" not in b"".join(langsmith_server.bodies)


STREAM_AN_ANSWER = """
import asyncio, sys
from dataclasses import replace
from bot.settings import Settings
from bot.tracing import build_tracer

async def main():
    tracer = build_tracer(Settings()) if sys.argv[1] == "ours" else None
    from langchain_openai import ChatOpenAI
    chat = ChatOpenAI(model="echo-1", base_url=sys.argv[2], api_key="none", max_retries=0)
    print("".join([str(chunk.content) async for chunk in chat.astream("hi")]))
    from langchain_core.tracers.langchain import wait_for_all_tracers
    wait_for_all_tracers()
    if tracer is not None:
        await tracer.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize(("whose", "traces"), [("ours", False), ("langchain's", True)])
@pytest.mark.parametrize(
    "switches", [("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"), ("", "LANGCHAIN_TRACING")]
)
async def test_langchain_does_not_trace_on_its_own_when_our_settings_say_no(
    switches: tuple[str, str],
    whose: str,
    traces: bool,
    langsmith_server: LangSmithServer,
    endpoint: ModelServer,
    tmp_path: Path,
) -> None:
    no, yes = switches
    await run_script(
        STREAM_AN_ANSWER,
        whose,
        endpoint.base_url,
        cwd=tmp_path,
        **({no: "false"} if no else {}),
        **{yes: "true"},
        LANGSMITH_API_KEY=KEY,
        LANGSMITH_ENDPOINT=langsmith_server.url,
        LANGSMITH_USE_DAEMON="true",
    )
    assert bool(langsmith_server.runs) is traces


async def test_a_variable_of_langchains_first_tracer_breaks_no_call(
    endpoint: ModelServer, tmp_path: Path
) -> None:
    output = await run_script(
        STREAM_AN_ANSWER, "ours", endpoint.base_url, cwd=tmp_path, LANGCHAIN_TRACING="1"
    )
    assert output == "echo hi\n"


async def test_nothing_is_sent_when_tracing_is_off(
    langsmith_server: LangSmithServer, chat: ChatOpenAI
) -> None:
    tracer = build_tracer(tracing_settings(langsmith_server.url, langsmith_tracing=False))
    assert isinstance(tracer, NoopTracer)
    done = await run_turn(tracer, chat)
    with pytest.raises(ValueError, match="passes"):
        await break_step(tracer, question(), ValueError("passes"))
    await tracer.aclose()
    assert (done.answer, done.run_id) == ("echo question-0 please", "")
    assert langsmith_server.paths == []


async def test_a_missing_key_switches_tracing_off_but_for_a_self_hosted_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hosted = tracing_settings("https://eu.api.smith.langchain.com", langsmith_api_key=None)
    assert isinstance(build_tracer(hosted), NoopTracer)
    assert "LANGSMITH_API_KEY" in caplog.text
    async with LangSmithServer() as own:
        tracer = build_tracer(tracing_settings(own.url, langsmith_api_key=None))
        assert isinstance(tracer, LangSmithTracer)
        async with tracer.turn(question()):
            pass
        await tracer.aclose()
        assert len(own.runs) == 1


async def test_contradicting_variables_are_refused_with_a_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("LANGSMITH_RUNS_ENDPOINTS", "{}")
    with pytest.raises(SettingsError) as refused:
        build_tracer(tracing_settings("http://127.0.0.1:1"))
    assert "LANGSMITH_RUNS_ENDPOINTS" in refused.value.cure
