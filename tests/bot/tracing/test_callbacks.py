"""Runs of model calls within a turn's trace."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

from bot.ports import Tracer
from tests.fakes.langsmith_server import LangSmithServer
from tests.support.tracing_harness import question, run_turn


async def test_a_model_run_carries_messages_answer_usage_and_the_first_token(
    tracer: Tracer, chat: ChatOpenAI, langsmith_server: LangSmithServer
) -> None:
    await run_turn(tracer, chat)
    await tracer.aclose()

    run = next(run for run in langsmith_server.runs.values() if run.run_type == "llm")
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


async def test_a_model_stream_left_in_the_middle_is_closed_with_its_turn(
    tracer: Tracer, langsmith_server: LangSmithServer
) -> None:
    async with tracer.turn(question()) as trace:
        runs = trace.model_config()["callbacks"][0]
        runs.on_chat_model_start({}, [[HumanMessage("hi")]], run_id=uuid4())
    await tracer.aclose()
    run = next(run for run in langsmith_server.runs.values() if run.run_type == "llm")
    assert run.ended
    assert "left before its end" in str(run.error)


async def test_pictures_are_not_sent_and_their_addresses_are(
    tracer: Tracer, chat: ChatOpenAI, langsmith_server: LangSmithServer
) -> None:
    picture = "data:image/png;base64," + "iVBORw0KGgo" * 1000
    content: list[str | dict[str, Any]] = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
    ]
    async with tracer.turn(question()) as trace:
        config: Any = trace.model_config()
        async for _ in chat.astream([HumanMessage(content)], config=config):
            pass
    await tracer.aclose()
    run = next(run for run in langsmith_server.runs.values() if run.run_type == "llm")
    text, data, address = run.inputs["messages"][0]["content"]
    assert text["text"] == "look"
    assert "not traced" in data["text"]
    assert address["image_url"]["url"] == "https://example.org/cat.png"
    assert b"iVBORw0KGgo" not in b"".join(langsmith_server.bodies)
