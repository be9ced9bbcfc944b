"""Tracing, over a LangSmith and a language model on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import langsmith
import langsmith.env
import pytest
from aiohttp import web
from httpx2 import AsyncClient
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langsmith import Client

from bot import __version__
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.errors import ModelBusy, SettingsError
from bot.ports import Tracer, TurnTrace
from bot.settings import Settings
from bot.tracing import LangSmithTracer, NoopTracer, build_tracer, check
from bot.tracing.sender import MAX_WAITING_BYTES, MAX_WAITING_RUNS, Batch, Sender
from tests.fakes.free_ports import free_port
from tests.fakes.langsmith_server import LangSmithServer, Run
from tests.support.repository import ROOT
from tests.support.wait import wait_until

KEY = "key-of-a-test"


class Echo:
    """The smallest streaming chat-completions endpoint: says back the last message, word by word.

    Attributes:
        wait: if set, an answer stops after its first word until this is set.
    """

    def __init__(self) -> None:
        self.url = ""
        self.wait: asyncio.Event | None = None
        self.status = 200

    async def __aenter__(self) -> Echo:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if self.status != 200:
            said = f"not with {request.headers['Authorization']}"
            return web.json_response({"error": {"message": said}}, status=self.status)
        said = asked["messages"][-1]["content"]
        words = ("echo " + (said if isinstance(said, str) else said[0]["text"])).split(" ")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, word in enumerate(words):
            delta = {"role": "assistant", "content": (" " if number else "") + word}
            await response.write(_event(choices=[{"index": 0, "delta": delta}]))
            if self.wait is not None:
                await self.wait.wait()
        stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
        await response.write(_event(choices=[stop]))
        usage = {
            "prompt_tokens": 11,
            "completion_tokens": len(words),
            "total_tokens": 11 + len(words),
        }
        await response.write(_event(choices=[], usage=usage))
        await response.write(b"data: [DONE]\n\n")
        return response


def _event(**data: Any) -> bytes:
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "echo-1"}
    return b"data: " + json.dumps(base | data).encode() + b"\n\n"


@pytest.fixture
async def server() -> AsyncIterator[LangSmithServer]:
    async with LangSmithServer(api_key=KEY) as running:
        yield running
        assert running.problems == []


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async with Echo() as running:
        yield running


@pytest.fixture
async def model(echo: Echo) -> AsyncIterator[ChatOpenAI]:
    async with AsyncClient() as client:
        yield ChatOpenAI(
            model="echo-1",
            base_url=echo.url,
            api_key="none",  # type: ignore[arg-type]
            http_async_client=client,
            default_headers={"X-Inner": "leaked-header"},
            stream_usage=True,
            max_retries=0,
        )


@pytest.fixture
async def tracer(server: LangSmithServer) -> AsyncIterator[Tracer]:
    built = build_tracer(settings(server.url))
    yield built
    server.fault = ""
    server.release()
    await built.aclose()


def settings(url: str, **more: Any) -> Settings:
    given: dict[str, Any] = {
        "langsmith_tracing": True,
        "langsmith_api_key": KEY,
        "langsmith_endpoint": url,
        "langsmith_project": "tests",
    }
    return Settings(_env_file=None, **given | more)


def asked(number: int = 0, *, shared: bool = False, text: str = "") -> Turn:
    key = SessionKey("console", "local", f"place-{number}")
    address = Address(key, place_kind="group" if shared else "private")
    incoming = Incoming(address, Speaker("U1", "Ada"), text or f"question-{number} please")
    return Turn(f"turn-{number}", (incoming,))


async def answer(model: ChatOpenAI, trace: TurnTrace, turn: Turn) -> Turn:
    """A whole turn, as the handler runs it."""
    async with trace.step("read history", inputs={"session": str(turn.session)}) as step:
        step.end({"turns": 0})
    prompt = [SystemMessage("be brief"), HumanMessage(turn.incoming[-1].text)]
    text = ""
    async for chunk in model.astream(prompt, config=trace.model_config()):  # type: ignore[arg-type]
        text += str(chunk.content)
    done = turn.ended("complete", text, run_id=trace.run_id, model="echo-1")
    async with trace.step("write history") as step:
        step.end({"written": True})
    trace.end(done)
    return done


async def run_turn(tracer: Tracer, model: ChatOpenAI, number: int = 0) -> Turn:
    turn = asked(number)
    async with tracer.turn(
        replace(turn, conversation_id=f"talk-{number}", generation=number)
    ) as trace:
        return await answer(model, trace, turn)


async def break_step(tracer: Tracer, turn: Turn, error: Exception) -> None:
    async with (
        tracer.turn(replace(turn, conversation_id="talk", generation=0)) as trace,
        trace.step("write history"),
    ):
        raise error


async def test_a_turn_is_one_trace_with_its_reading_its_model_call_and_its_writing(
    tracer: Tracer, model: ChatOpenAI, server: LangSmithServer
) -> None:
    done = await run_turn(tracer, model, 7)
    await tracer.aclose()

    root = server.runs[done.run_id]
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
    children = server.children(root)
    assert [run.name for run in children] == ["read history", "ChatOpenAI", "write history"]
    assert [run.run_type for run in children] == ["chain", "llm", "chain"]
    assert len(server.runs) == 4
    assert all(run.ended and run.error is None for run in server.runs.values())
    assert all(run.dotted_order.startswith(root.dotted_order) for run in children)
    assert children[0].inputs == {"session": "console/local/place-7/"}
    assert children[0].outputs == {"turns": 0}


async def test_the_model_run_carries_messages_answer_usage_and_the_first_word(
    tracer: Tracer, model: ChatOpenAI, server: LangSmithServer
) -> None:
    await run_turn(tracer, model)
    await tracer.aclose()

    run = next(run for run in server.runs.values() if run.run_type == "llm")
    assert run.inputs["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "question-0 please"},
    ]
    assert run.outputs["messages"][0]["content"] == "echo question-0 please"
    for usage in (run.outputs["usage_metadata"], run.metadata["usage_metadata"]):
        assert (usage["input_tokens"], usage["output_tokens"]) == (11, 3)
    assert run.metadata["ls_model_name"] == "echo-1"
    assert run.extra["invocation_params"]["model"] == "echo-1"
    assert [event["name"] for event in run.data["events"]] == ["start", "new_token", "end"]


async def test_every_run_names_its_conversation_session_platform_turn_and_version(
    tracer: Tracer, model: ChatOpenAI, server: LangSmithServer
) -> None:
    await run_turn(tracer, model, 3)
    await tracer.aclose()

    assert len(server.runs) == 4
    for run in server.runs.values():
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


async def test_a_running_turn_is_already_seen(
    tracer: Tracer, model: ChatOpenAI, echo: Echo, server: LangSmithServer
) -> None:
    echo.wait = asyncio.Event()
    running = asyncio.create_task(run_turn(tracer, model))
    await wait_until(lambda: len(server.runs) == 3)  # root, reading, and the model at work
    assert not server.roots()[0].ended
    echo.wait.set()
    await running
    await tracer.aclose()

    root = server.roots()[0]
    assert (root.ended, root.posts, root.patches) == (True, 1, 1)
    patch = server.bodies[-1].decode()
    assert f"patch.{root.id}" in patch
    assert f"patch.{root.id}.inputs" not in patch


async def test_two_hundred_turns_at_once_never_mix(
    tracer: Tracer, model: ChatOpenAI, server: LangSmithServer
) -> None:
    turns = await asyncio.gather(*(run_turn(tracer, model, number) for number in range(200)))
    await wait_until(lambda: sum(run.ended for run in server.runs.values()) == 800)

    for number, turn in enumerate(turns):
        root = server.runs[turn.run_id]
        family = [root, *server.children(root)]
        assert len(family) == 4
        assert {run.metadata["thread_id"] for run in family} == {f"talk-{number}"}
        assert {run.metadata["turn_id"] for run in family} == {f"turn-{number}"}
        assert {run.trace_id for run in family} == {root.id}
        said = next(run for run in family if run.run_type == "llm")
        assert said.inputs["messages"][-1]["content"] == f"question-{number} please"
        assert said.outputs["messages"][0]["content"] == f"echo question-{number} please"


async def test_a_turn_leaves_nothing_in_the_context_of_its_caller(
    tracer: Tracer, model: ChatOpenAI
) -> None:
    async def pieces() -> AsyncIterator[str]:
        turn = asked()
        async with tracer.turn(replace(turn, conversation_id="talk", generation=0)) as trace:
            async with trace.step("read history"):
                yield "read"
            async for chunk in model.astream("hi", config=trace.model_config()):  # type: ignore[arg-type]
                yield str(chunk.content)

    async for _ in pieces():
        assert langsmith.get_current_run_tree() is None
        assert langsmith.get_tracing_context()["parent"] is None


async def test_a_failed_turn_carries_its_error(tracer: Tracer, server: LangSmithServer) -> None:
    turn = asked()
    async with tracer.turn(replace(turn, conversation_id="talk", generation=0)) as trace:
        trace.end(turn.ended("failed", "half", note="busy"), ModelBusy("429 from the endpoint"))
    await tracer.aclose()

    root = server.roots()[0]
    assert root.error == "ModelBusy: 429 from the endpoint"
    assert root.outputs["messages"][0]["content"] == "half"
    assert "state:failed" in root.tags
    assert root.metadata["note"] == "busy"


async def test_an_exception_is_noted_on_every_level_and_passes(
    tracer: Tracer, model: ChatOpenAI, echo: Echo, server: LangSmithServer
) -> None:
    echo.status = 400
    with pytest.raises(Exception, match="400"):
        await run_turn(tracer, model)
    with pytest.raises(ValueError, match="no disk"):
        await break_step(tracer, asked(1), ValueError("no disk"))
    await tracer.aclose()

    errors = {(run.name, run.metadata["turn_id"]): run.error for run in server.runs.values()}
    assert errors["read history", "turn-0"] is None
    assert "400" in str(errors["ChatOpenAI", "turn-0"])
    assert "400" in str(errors["turn", "turn-0"])
    assert errors["write history", "turn-1"] == errors["turn", "turn-1"] == "ValueError: no disk"


async def test_a_stopped_turn_is_marked_and_leaves_no_run_open(
    tracer: Tracer, model: ChatOpenAI, echo: Echo, server: LangSmithServer
) -> None:
    echo.wait = asyncio.Event()
    turn, shown = asked(), asyncio.Event()

    async def stoppable() -> None:
        async with tracer.turn(replace(turn, conversation_id="talk", generation=0)) as trace:
            try:
                async for _ in model.astream("hi", config=trace.model_config()):  # type: ignore[arg-type]
                    shown.set()
            except asyncio.CancelledError:
                trace.end(turn.ended("stopped", "echo"))

    running = asyncio.create_task(stoppable())
    await shown.wait()
    running.cancel()
    await running
    echo.wait.set()
    await tracer.aclose()

    root = server.roots()[0]
    assert root.error is None
    assert root.metadata["state"] == "stopped"
    assert "state:stopped" in root.tags
    assert len(server.runs) == 2
    assert all(run.ended for run in server.runs.values())


async def test_a_model_stream_left_in_the_middle_is_closed_with_its_turn(
    tracer: Tracer, server: LangSmithServer
) -> None:
    async with tracer.turn(replace(asked(), conversation_id="talk", generation=0)) as trace:
        runs = trace.model_config()["callbacks"][0]
        runs.on_chat_model_start({}, [[HumanMessage("hi")]], run_id=uuid4())
    await tracer.aclose()
    run = next(run for run in server.runs.values() if run.run_type == "llm")
    assert run.ended
    assert "left before its end" in str(run.error)


async def test_in_shared_places_the_trace_says_who_spoke(
    tracer: Tracer, server: LangSmithServer
) -> None:
    async with tracer.turn(replace(asked(shared=True), conversation_id="talk", generation=0)):
        pass
    await tracer.aclose()
    root = server.roots()[0]
    assert root.inputs["messages"][0]["name"] == "Ada"
    assert "place:group" in root.tags


async def test_pictures_are_not_sent(
    tracer: Tracer, model: ChatOpenAI, server: LangSmithServer
) -> None:
    picture = "data:image/png;base64," + "iVBORw0KGgo" * 1000
    content: list[str | dict[str, Any]] = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
    ]
    async with tracer.turn(replace(asked(), conversation_id="talk", generation=0)) as trace:
        config: Any = trace.model_config()
        async for _ in model.astream([HumanMessage(content)], config=config):
            pass
    await tracer.aclose()
    run = next(run for run in server.runs.values() if run.run_type == "llm")
    text, data, address = run.inputs["messages"][0]["content"]
    assert text["text"] == "look"
    assert "not traced" in data["text"]
    assert address["image_url"]["url"] == "https://example.org/cat.png"
    assert b"iVBORw0KGgo" not in b"".join(server.bodies)


async def test_neither_environment_nor_headers_nor_keys_reach_langsmith(
    server: LangSmithServer, model: ChatOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_INTERNAL_HOST", "leaked-langsmith")
    monkeypatch.setenv("LANGCHAIN_INTERNAL_HOST", "leaked-langchain")
    langsmith.env.get_langchain_env_var_metadata.cache_clear()
    tracer = build_tracer(settings(server.url))
    await run_turn(tracer, model)
    await tracer.aclose()
    langsmith.env.get_langchain_env_var_metadata.cache_clear()

    assert len(server.runs) == 4
    sent = b"".join(server.bodies)
    assert b"leaked" not in sent
    assert KEY.encode() not in sent
    assert "/info" not in server.paths


async def test_a_key_that_an_endpoint_repeats_reaches_no_trace(
    tracer: Tracer, echo: Echo, server: LangSmithServer
) -> None:
    echo.status, key = 401, "-".join(("sk", "x" * 20))
    async with AsyncClient() as client:
        model = ChatOpenAI(
            model="echo-1", base_url=echo.url, api_key=key, http_async_client=client, max_retries=0
        )
        with pytest.raises(Exception, match=key):
            await run_turn(tracer, model)
    await tracer.aclose()
    assert key.encode() not in b"".join(server.bodies)
    assert "401" in str(server.roots()[0].error)


async def test_a_held_request_holds_no_turn(
    tracer: Tracer, model: ChatOpenAI, server: LangSmithServer
) -> None:
    server.fault = "hang"
    first = await run_turn(tracer, model, 1)
    await wait_until(lambda: server.held == 1)
    second = await run_turn(tracer, model, 2)
    assert server.held == 1
    assert (first.answer, second.answer) == ("echo question-1 please", "echo question-2 please")
    server.fault = ""
    server.release()
    await wait_until(lambda: len(server.runs) == 8)


@pytest.mark.parametrize("fault", ["cut", "slow", "401", "413", "500"])
async def test_a_failing_endpoint_changes_no_turn_and_warns_once(
    fault: Any,
    tracer: Tracer,
    model: ChatOpenAI,
    server: LangSmithServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    server.fault = fault
    for number in range(3):
        before = len(server.paths)
        done = await run_turn(tracer, model, number)
        assert done.answer == f"echo question-{number} please"
        await wait_until(lambda before=before: len(server.paths) > before)
    if fault == "slow":
        await wait_until(lambda: len(server.runs) == 12)
        assert caplog.records == []
        return
    await wait_until(lambda: "turns go on" in caplog.text)
    server.fault = ""
    last = await run_turn(tracer, model, 9)
    await wait_until(lambda: last.run_id in server.runs)  # and it comes back by itself
    ours = [one for one in caplog.records if one.name != "aiohttp.server"]  # the fake's own
    assert len(ours) == 1
    assert KEY[:5] not in caplog.text


async def test_nothing_listens_and_the_turn_goes_on(model: ChatOpenAI) -> None:
    tracer = build_tracer(settings(f"http://127.0.0.1:{free_port()}"))
    done = await run_turn(tracer, model)
    assert done.answer == "echo question-0 please"
    await tracer.aclose()


SCRIPT = """
import asyncio, sys
from dataclasses import replace
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.settings import Settings
from bot.tracing import build_tracer

async def main():
    tracer = build_tracer(Settings())
    key = SessionKey("console", "local", "main")
    turn = Turn("t1", (Incoming(Address(key), Speaker("u1"), "hello"),))
    for _ in range(3):
        async with tracer.turn(replace(turn, conversation_id="talk", generation=0)) as trace:
            trace.end(turn.ended("complete", "hi"))
    if sys.argv[1] == "wait":
        await asyncio.sleep(0.6)
    if sys.argv[1] != "leave":
        await tracer.aclose()
    print("left", type(tracer).__name__)

asyncio.run(main())
"""


async def run_script(script: str, *words: str, cwd: Path, **environ: str) -> str:
    """Run `script` in a process of its own, with nothing but `environ` set."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        *words,
        cwd=cwd,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(cwd), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(80):  # langsmith's own exit takes 90 seconds and more
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.parametrize("way", ["close", "wait", "leave"])
@pytest.mark.parametrize("fault", ["", "hang", "nothing", "500"])
async def test_the_process_leaves_whatever_the_endpoint_does(
    fault: Any, way: str, server: LangSmithServer, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}" if fault == "nothing" else server.url
    server.fault = "" if fault == "nothing" else fault
    said = await run_script(
        SCRIPT,
        way,
        cwd=tmp_path,
        LANGSMITH_TRACING="true",
        LANGSMITH_API_KEY=KEY,
        LANGSMITH_ENDPOINT=url,
    )
    assert said == "left LangSmithTracer\n"
    if fault == "" and way != "leave":
        assert len(server.runs) == 3


async def test_the_old_names_of_the_settings_work(server: LangSmithServer, tmp_path: Path) -> None:
    said = await run_script(
        SCRIPT,
        "close",
        cwd=tmp_path,
        LANGCHAIN_TRACING_V2="true",
        LANGCHAIN_API_KEY=KEY,
        LANGCHAIN_ENDPOINT=server.url,
        LANGCHAIN_PROJECT="old",
    )
    assert said == "left LangSmithTracer\n"
    assert {run.session_name for run in server.runs.values()} == {"old"}


async def test_langsmiths_own_privacy_switches_are_honoured(
    server: LangSmithServer, tmp_path: Path
) -> None:
    await run_script(
        SCRIPT,
        "close",
        cwd=tmp_path,
        LANGSMITH_TRACING="true",
        LANGSMITH_API_KEY=KEY,
        LANGSMITH_ENDPOINT=server.url,
        LANGSMITH_HIDE_INPUTS="true",
        LANGSMITH_HIDE_OUTPUTS="true",
    )
    assert len(server.runs) == 3
    assert {run.metadata["thread_id"] for run in server.runs.values()} == {"talk"}
    assert b"hello" not in b"".join(server.bodies)


CALL = """
import asyncio, sys
from dataclasses import replace
from bot.settings import Settings
from bot.tracing import build_tracer

async def main():
    tracer = build_tracer(Settings()) if sys.argv[1] == "ours" else None
    from langchain_openai import ChatOpenAI
    model = ChatOpenAI(model="echo-1", base_url=sys.argv[2], api_key="none", max_retries=0)
    async for _ in model.astream("hi"):
        pass
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
    server: LangSmithServer,
    echo: Echo,
    tmp_path: Path,
) -> None:
    no, yes = switches
    await run_script(
        CALL,
        whose,
        echo.url,
        cwd=tmp_path,
        **({no: "false"} if no else {}),
        **{yes: "true"},
        LANGSMITH_API_KEY=KEY,
        LANGSMITH_ENDPOINT=server.url,
        LANGSMITH_USE_DAEMON="true",
    )
    assert bool(server.runs) is traces


async def test_a_leftover_of_langchains_first_tracer_breaks_no_call(
    echo: Echo, tmp_path: Path
) -> None:
    await run_script(CALL, "ours", echo.url, cwd=tmp_path, LANGCHAIN_TRACING="1")


async def test_nothing_is_sent_when_tracing_is_off(
    server: LangSmithServer, model: ChatOpenAI
) -> None:
    tracer = build_tracer(settings(server.url, langsmith_tracing=False))
    assert isinstance(tracer, NoopTracer)
    done = await run_turn(tracer, model)
    with pytest.raises(ValueError, match="passes"):
        await break_step(tracer, asked(), ValueError("passes"))
    await tracer.aclose()
    assert (done.answer, done.run_id) == ("echo question-0 please", "")
    assert server.paths == []


async def test_without_a_key_only_a_server_of_ones_own_is_traced_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hosted = settings("https://eu.api.smith.langchain.com", langsmith_api_key=None)
    assert isinstance(build_tracer(hosted), NoopTracer)
    assert "LANGSMITH_API_KEY" in caplog.text
    async with LangSmithServer() as own:
        tracer = build_tracer(settings(own.url, langsmith_api_key=None))
        assert isinstance(tracer, LangSmithTracer)
        async with tracer.turn(replace(asked(), conversation_id="talk", generation=0)):
            pass
        await tracer.aclose()
        assert len(own.runs) == 1


async def test_contradicting_variables_are_refused_with_a_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("LANGSMITH_RUNS_ENDPOINTS", "{}")
    with pytest.raises(SettingsError) as refused:
        build_tracer(settings("http://127.0.0.1:1"))
    assert "LANGSMITH_RUNS_ENDPOINTS" in refused.value.cure


async def test_doctor_tells_off_ok_refused_and_unreachable_apart(server: LangSmithServer) -> None:
    (off,) = await check(settings(server.url, langsmith_tracing=False))
    (ok,) = await check(settings(server.url))
    (refused,) = await check(settings(server.url, langsmith_api_key="wrong"))
    (keyless,) = await check(settings("https://api.smith.langchain.com", langsmith_api_key=None))
    (nowhere,) = await check(settings(f"http://127.0.0.1:{free_port()}"))
    server.fault = "500"
    (broken,) = await check(settings(server.url))
    assert [one.state for one in (off, ok, refused, keyless, nowhere, broken)] == [
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
    (line,) = await check(settings(f"http://me:{KEY}@127.0.0.1:{free_port()}"))
    assert line.state == "failed"
    assert KEY not in str(line)


async def test_doctor_gives_up_on_a_black_hole(server: LangSmithServer) -> None:
    server.fault = "hang"
    (held,) = await check(settings(server.url))
    assert held.state == "failed"
    assert "cannot be reached" in held.detail


def test_what_waits_is_bounded_and_the_oldest_gives_way() -> None:
    go, seen = threading.Event(), list[Any]()

    def send(batch: Batch) -> None:
        go.wait()
        seen.extend(run["number"] for _, run in batch)

    sender = Sender(send, gather_s=0)
    for number in range(MAX_WAITING_RUNS * 2):
        sender.put("post", {"number": number})
    go.set()
    assert sender.close(60)
    assert len(seen) <= MAX_WAITING_RUNS + 100  # and a batch that was under way
    assert seen[-1] == MAX_WAITING_RUNS * 2 - 1

    go.clear()
    seen.clear()
    sender = Sender(send, gather_s=0)
    text = "x" * (MAX_WAITING_BYTES // 8)
    for number in range(40):
        sender.put("post", {"number": number, "inputs": {"text": text}})
    go.set()
    assert sender.close(60)
    assert len(seen) <= 10
    assert seen[-1] == 39


def test_a_closed_sender_takes_nothing_more() -> None:
    seen: list[Batch] = []
    sender = Sender(seen.append)
    sender.put("post", {"id": 1})
    assert sender.close(60)
    sender.put("post", {"id": 2})
    assert seen == [[("post", {"id": 1})]]


@pytest.mark.parametrize("zstd", [True, False])
async def test_the_fake_understands_langsmiths_own_client(zstd: bool) -> None:
    async with LangSmithServer(zstd=zstd) as server:

        def speak() -> None:
            client = Client(server.url, api_key=KEY)
            give_up_at = time.monotonic() + 60
            while zstd and client.compressed_traces is None and time.monotonic() < give_up_at:
                time.sleep(
                    0.01
                )  # its thread asks what the server can do, and compresses from then on
            tree = langsmith.RunTree(
                name="parent", inputs={"a": 1}, ls_client=client, project_name="p"
            )
            tree.post()
            child = tree.create_child("child", run_type="tool", inputs={"b": "\r\n--x"})
            child.post()
            child.end(outputs={"c": 2})
            child.patch()
            tree.end(error="broken")
            tree.patch()
            client.create_feedback(
                tree.id, trace_id=tree.trace_id, key="thumb", score=1, session_id=tree.id
            )
            client.close(timeout=60)

        await asyncio.to_thread(speak)
        await wait_until(lambda: len(server.runs) == 2 and server.feedback)
        parent, child = sorted(server.runs.values(), key=lambda run: run.dotted_order)
        assert (parent.name, parent.inputs, parent.error) == ("parent", {"a": 1}, "broken")
        assert (child.parent, child.inputs, child.outputs) == (
            parent.id,
            {"b": "\r\n--x"},
            {"c": 2},
        )
        assert isinstance(parent, Run)
        assert ("zstd" in server.encodings) is zstd
        assert server.problems == []
