"""The model over a real HTTP stream: what it gives, and its bad days."""

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
from bot.model.fallback import FallbackModel
from bot.model.openai import Endpoint, OpenAIModel, lean_chat_class
from bot.ports import Message, Prompt
from tests.fakes import model_server as fake
from tests.fakes.model_server import ModelServer
from tests.support.wait import wait_until

PROMPT = Prompt((Message("system", "be kind"), Message("user", "hello")), cache_key="talk-1")
KEY = "test-key-that-nobody-may-see"


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


@pytest.fixture
async def model(server: ModelServer) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel(Endpoint("gpt-5-mini", KEY, server.base_url, first_token_timeout_s=60))
    yield made
    await made.aclose()


async def ask(model: Any, prompt: Prompt = PROMPT) -> tuple[str, Usage | None]:
    text, usage = "", None
    async with aclosing(model.stream(prompt)) as pieces:
        async for piece in pieces:
            text += piece.text
            usage = piece.usage or usage
    return text, usage


async def test_an_answer_streams_and_says_what_it_cost(model: OpenAIModel) -> None:
    text, usage = await ask(model)
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
async def test_each_failure_has_its_word_and_is_not_tried_again_in_vain(
    server: ModelServer, behaviour: fake.Behaviour, expected: type[errors.ModelError]
) -> None:
    server.script = [behaviour]
    patience_s = 0.4 if expected is errors.ModelTimeout else 30
    endpoint = Endpoint("gpt-5-mini", KEY, server.base_url, first_token_timeout_s=patience_s)
    model = OpenAIModel(endpoint)
    with pytest.raises(errors.ModelError) as caught:
        await ask(model)
    await model.aclose()
    assert type(caught.value) is expected
    assert KEY not in str(caught.value) + caught.value.user_text + caught.value.cure
    assert len(server.requests) <= 1  # none, if a limit was over before it arrived


@pytest.mark.parametrize(
    "behaviour", [fake.fail(500), fake.fail(503), fake.fail(429), fake.cut("")]
)
async def test_what_passes_by_itself_is_asked_again_while_nothing_was_shown(
    server: ModelServer, model: OpenAIModel, behaviour: fake.Behaviour
) -> None:
    server.script = [behaviour]
    assert (await ask(model))[0] == "You said: hello"
    assert len(server.requests) == 2


async def test_retry_after_reaches_the_person(server: ModelServer, model: OpenAIModel) -> None:
    server.script = [fake.fail(429, "rate_limit_exceeded", retry_after_s=42)]
    with pytest.raises(errors.ModelBusy) as caught:
        await ask(model)
    assert caught.value.retry_after_s == 42
    assert "42 seconds" in caught.value.user_text


async def test_cancelling_closes_the_stream(server: ModelServer, model: OpenAIModel) -> None:
    server.script = [fake.stall("so")]
    task = asyncio.create_task(ask(model))
    await wait_until(lambda: server.open_streams == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until(lambda: server.open_streams == 0)


async def test_an_endless_answer_ends_at_the_limit(server: ModelServer) -> None:
    server.script = [fake.say("x" * 10_000, size=1, delay_s=0.02)]
    model = OpenAIModel(Endpoint("m", KEY, server.base_url, timeout_s=0.5))
    with pytest.raises(errors.ModelTimeout):
        await ask(model)
    await model.aclose()


def alive(*, comments: bool) -> fake.Behaviour:
    """Begins to answer, and then says nothing; perhaps with comments that keep the line alive."""

    async def behave(exchange: fake.Exchange) -> web.StreamResponse:
        response = await exchange.open()
        while True:
            await asyncio.sleep(0.02)
            if comments:
                await response.write(b": wait\n\n")

    return behave


@pytest.mark.parametrize("behaviour", [fake.hang(), alive(comments=True), alive(comments=False)])
@pytest.mark.parametrize(
    ("limits", "words"),
    [((0.2, 30), "nothing for 0.2 s"), ((30, 0.2), "not ended after 0.2 s")],
)
async def test_silence_ends_at_the_sooner_of_both_limits(
    server: ModelServer, behaviour: fake.Behaviour, limits: tuple[float, float], words: str
) -> None:
    server.script = [behaviour]
    model = OpenAIModel(Endpoint("m", KEY, server.base_url, *limits, retries=0))
    with pytest.raises(errors.ModelTimeout) as caught:
        await ask(model)
    await model.aclose()
    assert caught.value.detail in (words, "Request timed out.")
    await wait_until(lambda: server.open_streams == 0)


async def test_whoever_stops_reading_closes_the_stream(
    server: ModelServer, model: OpenAIModel
) -> None:
    server.script = [fake.stall("so")]
    async with aclosing(model.stream(PROMPT)) as pieces:
        assert (await anext(pieces)).text == "so"
    await wait_until(lambda: server.open_streams == 0)


async def test_a_cancellation_is_heard_at_any_moment(
    server: ModelServer, model: OpenAIModel
) -> None:
    """Also when a chunk arrives at the same time: `asyncio.wait_for` would lose it (Python 3.11)."""
    await ask(model)
    server.default = fake.stall("so it begins and never ends")
    for turns in range(30):
        task = asyncio.create_task(ask(model))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_key_that_the_endpoint_repeats_is_not_shown(
    server: ModelServer, model: OpenAIModel
) -> None:
    server.script = [fake.fail(401, "invalid_api_key", f"Incorrect API key provided: {KEY}")]
    with pytest.raises(errors.ModelKeyRefused) as caught:
        await ask(model)
    assert "Incorrect API key provided" in caught.value.detail
    assert KEY not in repr(caught.value)


async def test_an_address_that_leads_nowhere_is_one_of_our_errors() -> None:
    model = OpenAIModel(Endpoint("m", KEY, "http://nöt a host/v1", retries=0))
    with pytest.raises(errors.ModelUnreachable) as caught:
        await ask(model)
    assert "OPENAI_BASE_URL" in caught.value.cure
    await model.aclose()


async def test_an_address_where_nobody_listens_says_so(model: OpenAIModel) -> None:
    absent = OpenAIModel(Endpoint("m", KEY, "http://127.0.0.1:9/v1", retries=0))
    with pytest.raises(errors.ModelUnreachable):
        await ask(absent)
    await absent.aclose()


async def test_the_wire_carries_the_same_with_and_without_the_short_cut(
    server: ModelServer,
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
                base_url=server.base_url,
                stream_usage=True,
                temperature=0.1,
                http_async_client=client,
            )
            async for _ in chosen.astream(messages):
                pass
    plain, lean = (seen.body for seen in server.requests)
    assert plain == lean
    assert len(lean["messages"]) == 4


async def test_the_short_cut_is_still_where_upstream_goes_along(
    server: ModelServer, model: OpenAIModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If langchain-openai or openai build a request elsewhere, long histories are slow again."""
    walked: list[Any] = []

    async def watch(data: Any, kind: Any) -> Any:
        walked.append(data)
        return await transform(data, kind)

    transform = completions.async_maybe_transform
    monkeypatch.setattr(completions, "async_maybe_transform", watch)
    await ask(model)
    assert [body["messages"] for body in walked] == [[]]
    assert len(server.requests[0].messages) == 2


async def test_the_cache_key_goes_to_openai_only(
    server: ModelServer, model: OpenAIModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(model)
    assert "prompt_cache_key" not in server.requests[0].body
    monkeypatch.setattr(openai, "OPENAI_HOST", "127.0.0.1")
    await ask(model)
    assert server.requests[1].body["prompt_cache_key"] == "talk-1"
    await ask(model, Prompt(PROMPT.messages))
    assert "prompt_cache_key" not in server.requests[2].body
    monkeypatch.undo()
    assert Endpoint("m", KEY).is_openai
    assert Endpoint("m", KEY, "https://api.openai.com/v1").is_openai
    assert not Endpoint("m", KEY, "https://api.openai.com.example.org/v1").is_openai


async def test_pictures_travel_as_image_blocks(server: ModelServer, model: OpenAIModel) -> None:
    await ask(model, Prompt((Message("user", "what is it?", ("data:image/png;base64,AA==",)),)))
    content = server.requests[0].messages[-1]["content"]
    assert [block["type"] for block in content] == ["text", "image_url"]


def test_each_event_loop_has_its_own_connections() -> None:
    made = OpenAIModel(Endpoint("m", KEY, None))

    async def once() -> str:
        async with ModelServer() as server:
            made.endpoint = replace(made.endpoint, base_url=server.base_url)
            text, _ = await ask(made)
            await made.aclose()
            return text

    assert [asyncio.run(once()) for _ in range(3)] == ["You said: hello"] * 3


async def test_the_second_model_answers_when_the_first_is_down(server: ModelServer) -> None:
    first = OpenAIModel(Endpoint("first", KEY, "http://127.0.0.1:9/v1", retries=0))
    second = OpenAIModel(Endpoint("second", KEY, server.base_url))
    model = FallbackModel(first, second)
    assert (await ask(model))[0] == "You said: hello"
    assert server.requests[0].body["model"] == "second"
    await model.aclose()


async def test_a_half_shown_answer_is_never_continued_by_the_second_model(
    server: ModelServer,
) -> None:
    server.script = [fake.truncated("half")]
    both = [OpenAIModel(Endpoint(name, KEY, server.base_url)) for name in ("first", "second")]
    model = FallbackModel(*both)
    with pytest.raises(errors.AnswerCut):
        await ask(model)
    assert len(server.requests) == 1
    await model.aclose()
