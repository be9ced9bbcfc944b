"""Traces of turns, at a LangSmith server and a model on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import langsmith
import langsmith.env
import pytest
from httpx2 import AsyncClient
from langchain_openai import ChatOpenAI

from bot import __version__
from bot.errors import ModelBusy
from bot.ports import Tracer
from bot.tracing import build_tracer
from tests.fakes.langsmith_server import LangSmithServer
from tests.fakes.model_server import ModelServer, fail
from tests.support.tracing_harness import (
    KEY,
    break_step,
    echo,
    question,
    run_turn,
    tracing_settings,
)
from tests.support.wait import wait_until


async def test_a_turn_is_one_trace_with_its_reading_its_model_call_and_its_writing(
    tracer: Tracer, chat: ChatOpenAI, langsmith_server: LangSmithServer
) -> None:
    done = await run_turn(tracer, chat, 7)
    await tracer.aclose()

    root = langsmith_server.runs[done.run_id]
    assert (root.name, root.run_type, root.parent, root.session_name) == (
        "turn",
        "chain",
        None,
        "tests",
    )
    assert root.inputs == {"messages": [{"role": "user", "content": "question-7 please"}]}
    assert root.outputs == {"messages": [{"role": "assistant", "content": done.answer}]}
    assert done.answer == "echo question-7 please"
    assert root.metadata["ls_agent_type"] == "root"
    assert "state:complete" in root.tags
    children = langsmith_server.children(root)
    assert [run.name for run in children] == ["read history", "ChatOpenAI", "write history"]
    assert [run.run_type for run in children] == ["chain", "llm", "chain"]
    assert len(langsmith_server.runs) == 4
    assert all(run.ended and run.error is None for run in langsmith_server.runs.values())
    assert all(run.dotted_order.startswith(root.dotted_order) for run in children)
    assert children[0].inputs == {"session": "console/local/place-7/"}
    assert children[0].outputs == {"turns": 0}


async def test_every_run_names_its_conversation_session_platform_turn_and_version(
    tracer: Tracer, chat: ChatOpenAI, langsmith_server: LangSmithServer
) -> None:
    await run_turn(tracer, chat, 3)
    await tracer.aclose()

    assert len(langsmith_server.runs) == 4
    for run in langsmith_server.runs.values():
        assert (
            run.metadata.items()
            >= {
                "thread_id": "talk-3",
                "session": "console/local/place-3/",
                "platform": "console",
                "generation": 3,
                "turn_id": "turn-3",
                "version": __version__,
            }.items()
        )
        assert {"platform:console", "place:private"} <= set(run.tags)


async def test_a_running_turn_is_already_shown(
    tracer: Tracer, chat: ChatOpenAI, endpoint: ModelServer, langsmith_server: LangSmithServer
) -> None:
    hold = asyncio.Event()
    endpoint.default = echo(hold)
    running = asyncio.create_task(run_turn(tracer, chat))
    await wait_until(
        lambda: len(langsmith_server.runs) == 3
    )  # root, reading, and the model at work
    assert not langsmith_server.roots()[0].ended
    hold.set()
    await running
    await tracer.aclose()

    root = langsmith_server.roots()[0]
    assert (root.ended, root.posts, root.patches) == (True, 1, 1)
    patch = langsmith_server.bodies[-1].decode()
    assert f"patch.{root.id}" in patch
    assert f"patch.{root.id}.inputs" not in patch


async def test_two_hundred_turns_at_once_never_mix(
    tracer: Tracer, chat: ChatOpenAI, langsmith_server: LangSmithServer
) -> None:
    turns = await asyncio.gather(*(run_turn(tracer, chat, number) for number in range(200)))
    await wait_until(lambda: sum(run.ended for run in langsmith_server.runs.values()) == 800)

    for number, turn in enumerate(turns):
        root = langsmith_server.runs[turn.run_id]
        family = [root, *langsmith_server.children(root)]
        assert len(family) == 4
        assert {run.metadata["thread_id"] for run in family} == {f"talk-{number}"}
        assert {run.metadata["turn_id"] for run in family} == {f"turn-{number}"}
        assert {run.trace_id for run in family} == {root.id}
        said = next(run for run in family if run.run_type == "llm")
        assert said.inputs["messages"][-1]["content"] == f"question-{number} please"
        assert said.outputs["messages"][0]["content"] == f"echo question-{number} please"


async def test_a_turn_leaves_nothing_in_the_context_of_its_caller(
    tracer: Tracer, chat: ChatOpenAI
) -> None:
    async def pieces() -> AsyncIterator[str]:
        turn = question()
        async with tracer.turn(turn) as trace:
            async with trace.step("read history"):
                yield "read"
            async for chunk in chat.astream("hi", config=trace.model_config()):  # type: ignore[arg-type]
                yield str(chunk.content)

    async for _ in pieces():
        assert langsmith.get_current_run_tree() is None
        assert langsmith.get_tracing_context()["parent"] is None


async def test_a_failed_turn_carries_its_error(
    tracer: Tracer, langsmith_server: LangSmithServer
) -> None:
    turn = question()
    async with tracer.turn(turn) as trace:
        trace.end(turn.ended("failed", "half", note="busy"), ModelBusy("429 from the endpoint"))
    await tracer.aclose()

    root = langsmith_server.roots()[0]
    assert root.error == "ModelBusy: 429 from the endpoint"
    assert root.outputs["messages"][0]["content"] == "half"
    assert "state:failed" in root.tags
    assert root.metadata["note"] == "busy"


async def test_an_exception_is_recorded_on_every_level_and_passes(
    tracer: Tracer, chat: ChatOpenAI, endpoint: ModelServer, langsmith_server: LangSmithServer
) -> None:
    endpoint.default = fail(400)
    with pytest.raises(Exception, match="400"):
        await run_turn(tracer, chat)
    with pytest.raises(ValueError, match="no disk"):
        await break_step(tracer, question(1), ValueError("no disk"))
    await tracer.aclose()

    errors = {
        (run.name, run.metadata["turn_id"]): run.error for run in langsmith_server.runs.values()
    }
    assert errors["read history", "turn-0"] is None
    assert "400" in str(errors["ChatOpenAI", "turn-0"])
    assert "400" in str(errors["turn", "turn-0"])
    assert errors["write history", "turn-1"] == errors["turn", "turn-1"] == "ValueError: no disk"


async def test_a_stopped_turn_is_marked_and_leaves_no_run_open(
    tracer: Tracer, chat: ChatOpenAI, endpoint: ModelServer, langsmith_server: LangSmithServer
) -> None:
    hold = asyncio.Event()
    endpoint.default = echo(hold)
    turn, shown = question(), asyncio.Event()

    async def stoppable() -> None:
        async with tracer.turn(turn) as trace:
            try:
                async for chunk in chat.astream("hi", config=trace.model_config()):  # type: ignore[arg-type]
                    if chunk.content:
                        shown.set()
            except asyncio.CancelledError:
                trace.end(turn.ended("stopped", "echo"))

    running = asyncio.create_task(stoppable())
    await shown.wait()
    running.cancel()
    await running
    hold.set()
    await tracer.aclose()

    root = langsmith_server.roots()[0]
    assert root.error is None
    assert root.metadata["state"] == "stopped"
    assert "state:stopped" in root.tags
    assert len(langsmith_server.runs) == 2
    assert all(run.ended for run in langsmith_server.runs.values())


async def test_a_trace_of_a_shared_place_names_the_speaker(
    tracer: Tracer, langsmith_server: LangSmithServer
) -> None:
    async with tracer.turn(question(shared=True)):
        pass
    await tracer.aclose()
    root = langsmith_server.roots()[0]
    assert root.inputs["messages"][0]["name"] == "Ada"
    assert "place:group" in root.tags


async def test_a_trace_holds_neither_environment_nor_headers_nor_keys(
    langsmith_server: LangSmithServer, chat: ChatOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_INTERNAL_HOST", "leaked-langsmith")
    monkeypatch.setenv("LANGCHAIN_INTERNAL_HOST", "leaked-langchain")
    langsmith.env.get_langchain_env_var_metadata.cache_clear()
    tracer = build_tracer(tracing_settings(langsmith_server.url))
    await run_turn(tracer, chat)
    await tracer.aclose()
    langsmith.env.get_langchain_env_var_metadata.cache_clear()

    assert len(langsmith_server.runs) == 4
    sent = b"".join(langsmith_server.bodies)
    assert b"leaked" not in sent
    assert KEY.encode() not in sent
    assert "/info" not in langsmith_server.paths


async def test_a_key_that_an_endpoint_repeats_reaches_no_trace(
    tracer: Tracer, endpoint: ModelServer, langsmith_server: LangSmithServer
) -> None:
    key = "-".join(("sk", "x" * 20))
    endpoint.default = fail(401, message=f"not with Bearer {key}")
    async with AsyncClient() as client:
        chat = ChatOpenAI(
            model="echo-1",
            base_url=endpoint.base_url,
            api_key=key,
            http_async_client=client,
            max_retries=0,
        )
        with pytest.raises(Exception, match=key):
            await run_turn(tracer, chat)
    await tracer.aclose()
    assert key.encode() not in b"".join(langsmith_server.bodies)
    assert "401" in str(langsmith_server.roots()[0].error)
