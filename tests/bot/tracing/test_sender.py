"""The queue to LangSmith, with endpoints that hang, fail or are absent."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from bot.ports import Tracer
from bot.tracing import build_tracer
from bot.tracing.sender import MAX_QUEUED_BYTES, MAX_QUEUED_RUNS, Batch, Sender
from tests.fakes.free_ports import free_port
from tests.fakes.langsmith_server import LangSmithServer
from tests.support.tracing_harness import (
    KEY,
    TRACE_THREE_TURNS,
    run_script,
    run_turn,
    tracing_settings,
)
from tests.support.wait import wait_until


async def test_a_hanging_request_delays_no_turn(
    tracer: Tracer, chat: ChatOpenAI, langsmith_server: LangSmithServer
) -> None:
    langsmith_server.fault = "hang"
    first = await run_turn(tracer, chat, 1)
    await wait_until(lambda: langsmith_server.held == 1)
    second = await run_turn(tracer, chat, 2)
    assert langsmith_server.held == 1
    assert (first.answer, second.answer) == ("echo question-1 please", "echo question-2 please")
    langsmith_server.fault = ""
    langsmith_server.release()
    await wait_until(lambda: len(langsmith_server.runs) == 8)


@pytest.mark.parametrize("fault", ["cut", "slow", "401", "413", "500"])
async def test_a_failing_endpoint_changes_no_turn_and_warns_once(
    fault: Any,
    tracer: Tracer,
    chat: ChatOpenAI,
    langsmith_server: LangSmithServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    langsmith_server.fault = fault
    for number in range(3):
        before = len(langsmith_server.paths)
        done = await run_turn(tracer, chat, number)
        assert done.answer == f"echo question-{number} please"
        await wait_until(lambda before=before: len(langsmith_server.paths) > before)
    if fault == "slow":
        await wait_until(lambda: len(langsmith_server.runs) == 12)
        assert caplog.records == []
        return
    await wait_until(lambda: "turns go on" in caplog.text)
    langsmith_server.fault = ""
    last = await run_turn(tracer, chat, 9)
    await wait_until(lambda: last.run_id in langsmith_server.runs)  # and it comes back by itself
    ours = [
        record for record in caplog.records if record.name != "aiohttp.server"
    ]  # the fake's own
    assert len(ours) == 1
    assert KEY[:5] not in caplog.text


async def test_an_absent_endpoint_changes_no_turn(chat: ChatOpenAI) -> None:
    tracer = build_tracer(tracing_settings(f"http://127.0.0.1:{free_port()}"))
    done = await run_turn(tracer, chat)
    assert done.answer == "echo question-0 please"
    await tracer.aclose()


@pytest.mark.parametrize("way", ["close", "wait", "leave"])
@pytest.mark.parametrize("fault", ["", "hang", "nothing", "500"])
async def test_the_process_exits_whatever_the_endpoint_does(
    fault: Any, way: str, langsmith_server: LangSmithServer, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}" if fault == "nothing" else langsmith_server.url
    langsmith_server.fault = "" if fault == "nothing" else fault
    said = await run_script(
        TRACE_THREE_TURNS,
        way,
        cwd=tmp_path,
        LANGSMITH_TRACING="true",
        LANGSMITH_API_KEY=KEY,
        LANGSMITH_ENDPOINT=url,
    )
    assert said == "left LangSmithTracer\n"
    if fault == "" and way != "leave":
        assert len(langsmith_server.runs) == 3


def test_the_queue_is_bounded_and_drops_its_oldest_runs() -> None:
    go, seen = threading.Event(), list[Any]()

    def send(batch: Batch) -> None:
        go.wait()
        seen.extend(run["number"] for _, run in batch)

    sender = Sender(send, batch_wait_s=0)
    for number in range(MAX_QUEUED_RUNS * 2):
        sender.enqueue("post", {"number": number})
    go.set()
    assert sender.close(60)
    assert len(seen) <= MAX_QUEUED_RUNS + 100  # and a batch that was under way
    assert seen[-1] == MAX_QUEUED_RUNS * 2 - 1

    go.clear()
    seen.clear()
    sender = Sender(send, batch_wait_s=0)
    text = "x" * (MAX_QUEUED_BYTES // 8)
    for number in range(40):
        sender.enqueue("post", {"number": number, "inputs": {"text": text}})
    go.set()
    assert sender.close(60)
    assert len(seen) <= 10
    assert seen[-1] == 39


def test_a_closed_sender_accepts_no_runs() -> None:
    seen: list[Batch] = []
    sender = Sender(seen.append)
    sender.enqueue("post", {"id": 1})
    assert sender.close(60)
    sender.enqueue("post", {"id": 2})
    assert seen == [[("post", {"id": 1})]]
