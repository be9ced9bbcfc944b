"""The model over a real HTTP stream: answers, retries, limits, failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from aiohttp import web
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from openai.resources.chat.completions import completions

from bot import errors
from bot.conversation import Usage
from bot.model import openai
from bot.model.chat import lean_chat_class
from bot.model.fallback import FallbackModel
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import Message, Prompt
from tests.fakes import model_server as fake
from tests.fakes.model_server import ModelServer
from tests.support.wait import wait_until

PROMPT = Prompt((Message("system", "be kind"), Message("user", "hello")), cache_key="talk-1")
KEY = "test-key-that-nobody-may-see"


@pytest.fixture
async def client(model: ModelServer) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel(Endpoint("gpt-5-mini", KEY, model.base_url, first_token_timeout_s=60))
    yield made
    await made.aclose()


async def ask(client: Any, prompt: Prompt = PROMPT) -> tuple[str, Usage | None]:
    text, usage = "", None
    async with aclosing(client.stream(prompt)) as deltas:
        async for delta in deltas:
            text += delta.text
            usage = delta.usage or usage
    return text, usage


async def test_an_answer_streams_and_ends_with_its_usage(client: OpenAIModel) -> None:
    text, usage = await ask(client)
    assert text == "You said: hello"
    assert usage is not None
    assert usage.input_tokens > 0
    assert usage.cached_tokens == usage.input_tokens // 2


FAILURES: list[tuple[fake.Behaviour, type[errors.ModelError]]] = [
    (fake.fail(429, "insufficient_quota"), errors.ModelQuotaSpent),
    (fake.fail(401, "invalid_api_key"), errors.ModelKeyRefused),
    (fake.fail(403), errors.ModelKeyRefused),
    (fake.fail(404, "model_not_found"), errors.ModelMissing),
    (fake.fail(400, "context_length_exceeded"), errors.PromptTooLong),
    (
        fake.fail(400, "", "This model's maximum context length is 8192 tokens"),
        errors.PromptTooLong,
    ),
    (fake.fail(400, "exceed_context_size_error"), errors.PromptTooLong),
    (fake.fail(413), errors.PromptTooLong),
    (fake.fail(400, "content_filter"), errors.AnswerFiltered),
    (fake.fail(400, "invalid_value"), errors.PromptRefused),
    (fake.fail(429, "rate_limit_exceeded", retry_after_s=3600), errors.ModelBusy),
    (fake.fail(503, retry_after_s=3600), errors.ModelBusy),
    (fake.stall("half an"), errors.ModelTimeout),
    (fake.cut("half an"), errors.AnswerCut),
    (fake.truncated("half an"), errors.AnswerCut),
    (fake.garbage("half an"), errors.ModelBroken),
    (fake.error_event("half an"), errors.ModelBroken),
    (fake.say("half an", reason="length"), errors.AnswerCut),
    (fake.say("half an", reason="content_filter"), errors.AnswerFiltered),
]


@pytest.mark.parametrize(("behaviour", "expected"), FAILURES)
async def test_each_final_failure_has_its_error_and_is_not_retried(
    model: ModelServer, behaviour: fake.Behaviour, expected: type[errors.ModelError]
) -> None:
    model.script = [behaviour]
    first_token_timeout_s = 0.4 if expected is errors.ModelTimeout else 30
    endpoint = Endpoint(
        "gpt-5-mini", KEY, model.base_url, first_token_timeout_s=first_token_timeout_s
    )
    client = OpenAIModel(endpoint)
    with pytest.raises(errors.ModelError) as caught:
        await ask(client)
    await client.aclose()
    assert type(caught.value) is expected
    assert KEY not in str(caught.value) + caught.value.user_text + caught.value.cure
    assert len(model.requests) <= 1  # none, if a limit was over before it arrived


@pytest.mark.parametrize(
    "behaviour", [fake.fail(500), fake.fail(503), fake.fail(429), fake.cut("")]
)
async def test_a_transient_failure_is_retried_while_no_text_was_shown(
    model: ModelServer, client: OpenAIModel, behaviour: fake.Behaviour
) -> None:
    model.script = [behaviour]
    assert (await ask(client))[0] == "You said: hello"
    assert len(model.requests) == 2


async def test_retry_after_is_part_of_the_user_text(
    model: ModelServer, client: OpenAIModel
) -> None:
    model.script = [fake.fail(429, "rate_limit_exceeded", retry_after_s=42)]
    with pytest.raises(errors.ModelBusy) as caught:
        await ask(client)
    assert caught.value.retry_after_s == 42
    assert "42 seconds" in caught.value.user_text


async def test_cancelling_closes_the_stream(model: ModelServer, client: OpenAIModel) -> None:
    model.script = [fake.stall("so")]
    task = asyncio.create_task(ask(client))
    await wait_until(lambda: model.open_streams == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until(lambda: model.open_streams == 0)


async def test_an_endless_answer_ends_at_the_limit(model: ModelServer) -> None:
    model.script = [fake.say("x" * 10_000, size=1, delay_s=0.02)]
    client = OpenAIModel(Endpoint("m", KEY, model.base_url, timeout_s=0.5))
    with pytest.raises(errors.ModelTimeout):
        await ask(client)
    await client.aclose()


def silent(*, comments: bool) -> fake.Behaviour:
    """Begins an answer and then sends no text; with `comments`, it sends those."""

    async def behave(exchange: fake.Exchange) -> web.StreamResponse:
        response = await exchange.open()
        while True:
            await asyncio.sleep(0.02)
            if comments:
                await response.write(b": wait\n\n")

    return behave


@pytest.mark.parametrize(
    ("behaviour", "limits", "words"),
    [
        (fake.hang(), (0.2, 30), "Request timed out."),
        (fake.hang(), (30, 0.2), "not ended after 0.2 s"),
        (silent(comments=False), (0.2, 30), "Request timed out."),
        (silent(comments=False), (30, 0.2), "not ended after 0.2 s"),
        (silent(comments=True), (30, 0.2), "not ended after 0.2 s"),
    ],
)
async def test_a_silent_stream_ends_at_the_sooner_of_both_limits(
    model: ModelServer, behaviour: fake.Behaviour, limits: tuple[float, float], words: str
) -> None:
    model.script = [behaviour]
    client = OpenAIModel(Endpoint("m", KEY, model.base_url, *limits, retries=0))
    with pytest.raises(errors.ModelTimeout) as caught:
        await ask(client)
    await client.aclose()
    assert caught.value.detail == words
    await wait_until(lambda: model.open_streams == 0)


async def test_a_reader_that_stops_closes_the_stream(
    model: ModelServer, client: OpenAIModel
) -> None:
    model.script = [fake.stall("so")]
    async with aclosing(client.stream(PROMPT)) as deltas:
        assert (await anext(deltas)).text == "so"
    await wait_until(lambda: model.open_streams == 0)


async def test_a_cancellation_takes_effect_at_any_moment(
    model: ModelServer, client: OpenAIModel
) -> None:
    """Also when a chunk arrives at the same time: `asyncio.wait_for` would lose it (Python 3.11)."""
    await ask(client)
    model.default = fake.stall("so it begins and never ends")
    for turns in range(30):
        task = asyncio.create_task(ask(client))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_key_that_the_endpoint_repeats_is_not_shown(
    model: ModelServer, client: OpenAIModel
) -> None:
    model.script = [fake.fail(401, "invalid_api_key", f"Incorrect API key provided: {KEY}")]
    with pytest.raises(errors.ModelKeyRefused) as caught:
        await ask(client)
    assert "Incorrect API key provided" in caught.value.detail
    assert KEY not in repr(caught.value)


async def test_an_invalid_base_url_is_unreachable_with_a_cure() -> None:
    client = OpenAIModel(Endpoint("m", KEY, "http://nöt a host/v1", retries=0))
    with pytest.raises(errors.ModelUnreachable) as caught:
        await ask(client)
    assert "OPENAI_BASE_URL" in caught.value.cure
    await client.aclose()


async def test_a_closed_port_is_unreachable(client: OpenAIModel) -> None:
    absent = OpenAIModel(Endpoint("m", KEY, "http://127.0.0.1:9/v1", retries=0))
    with pytest.raises(errors.ModelUnreachable):
        await ask(absent)
    await absent.aclose()


async def test_a_lean_request_equals_that_of_chat_openai(
    model: ModelServer,
) -> None:
    messages = [
        SystemMessage("s"),
        HumanMessage("a"),
        AIMessage("b"),
        HumanMessage(
            [
                {"type": "text", "text": "c"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ]
        ),
    ]
    for cls in (ChatOpenAI, lean_chat_class()):
        async with httpx2.AsyncClient() as client:
            chosen = cls(
                model="m",
                api_key=KEY,
                base_url=model.base_url,
                stream_usage=True,
                temperature=0.1,
                http_async_client=client,
            )
            async for _ in chosen.astream(messages):
                pass
    plain, lean = (seen.body for seen in model.requests)
    assert plain == lean
    assert len(lean["messages"]) == 4


async def test_a_lean_request_bypasses_the_transformation_of_messages(
    model: ModelServer, client: OpenAIModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If langchain-openai or openai build a request elsewhere, long histories are slow again."""
    transformed: list[Any] = []

    async def recording_transform(data: Any, kind: Any) -> Any:
        transformed.append(data)
        return await transform(data, kind)

    transform = completions.async_maybe_transform
    monkeypatch.setattr(completions, "async_maybe_transform", recording_transform)
    await ask(client)
    assert [body["messages"] for body in transformed] == [[]]
    assert len(model.requests[0].messages) == 2


async def test_the_cache_key_goes_to_openai_only(
    model: ModelServer, client: OpenAIModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(client)
    assert "prompt_cache_key" not in model.requests[0].body
    monkeypatch.setattr(openai, "OPENAI_HOST", "127.0.0.1")
    await ask(client)
    assert model.requests[1].body["prompt_cache_key"] == "talk-1"
    await ask(client, Prompt(PROMPT.messages))
    assert "prompt_cache_key" not in model.requests[2].body
    monkeypatch.undo()
    assert Endpoint("m", KEY).is_openai
    assert Endpoint("m", KEY, "https://api.openai.com/v1").is_openai
    assert not Endpoint("m", KEY, "https://api.openai.com.example.org/v1").is_openai


async def test_pictures_are_sent_as_image_blocks(model: ModelServer, client: OpenAIModel) -> None:
    await ask(client, Prompt((Message("user", "what is it?", ("data:image/png;base64,AA==",)),)))
    content = model.requests[0].messages[-1]["content"]
    assert [block["type"] for block in content] == ["text", "image_url"]


def test_each_event_loop_has_its_own_connections() -> None:
    made = OpenAIModel(Endpoint("m", KEY, None))

    async def once() -> str:
        async with ModelServer() as model:
            made.endpoint = replace(made.endpoint, base_url=model.base_url)
            text, _ = await ask(made)
            await made.aclose()
            return text

    assert [asyncio.run(once()) for _ in range(3)] == ["You said: hello"] * 3


async def test_the_fallback_answers_when_the_primary_is_unreachable(model: ModelServer) -> None:
    first = OpenAIModel(Endpoint("first", KEY, "http://127.0.0.1:9/v1", retries=0))
    second = OpenAIModel(Endpoint("second", KEY, model.base_url))
    client = FallbackModel(first, second)
    assert (await ask(client))[0] == "You said: hello"
    assert model.requests[0].body["model"] == "second"
    await client.aclose()


async def test_the_fallback_never_continues_a_half_shown_answer(
    model: ModelServer,
) -> None:
    model.script = [fake.truncated("half")]
    both = [OpenAIModel(Endpoint(name, KEY, model.base_url)) for name in ("first", "second")]
    client = FallbackModel(*both)
    with pytest.raises(errors.AnswerCut):
        await ask(client)
    assert len(model.requests) == 1
    await client.aclose()
