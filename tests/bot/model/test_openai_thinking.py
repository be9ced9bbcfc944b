"""M5: the model at an endpoint that thinks aloud, or in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bot.errors import AnswerCut, OnlyThinking
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import AnswerDelta, Message, Prompt
from tests.fakes.model_server import Behaviour, Exchange, ModelServer, say

PROMPT = Prompt((Message("user", "hello"),))


@pytest.fixture
async def client(model: ModelServer) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel(Endpoint("m", "key", model.base_url, first_token_timeout_s=60))
    yield made
    await made.aclose()


def deltas(*chunks: dict[str, Any], reason: str = "stop") -> Behaviour:
    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        for chunk in chunks:
            await exchange.send(response, chunk)
        return await exchange.end(response, reason, "")

    return behave


async def read(client: OpenAIModel) -> list[AnswerDelta]:
    return [delta async for delta in client.stream(PROMPT)]


def text_of(found: list[AnswerDelta]) -> str:
    return "".join(delta.text for delta in found)


@pytest.mark.parametrize("size", [1, 3, 200])
async def test_tags_are_split_off_wherever_the_chunks_end(
    client: OpenAIModel, model: ModelServer, size: int
) -> None:
    model.script = [say("<think>They greet.</think>\n\nHello!", size=size)]
    found = await read(client)
    assert text_of(found) == "Hello!"
    assert "".join(delta.thinking for delta in found) == "They greet."


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
async def test_thinking_in_a_field_of_its_own_is_no_text(
    client: OpenAIModel, model: ModelServer, name: str
) -> None:
    model.script = [deltas({name: "They "}, {name: "greet."}, {"content": "Hello!"})]
    found = await read(client)
    assert text_of(found) == "Hello!"
    assert "".join(delta.thinking for delta in found) == "They greet."


@pytest.mark.filterwarnings(
    "ignore:Pydantic serializer warnings"
)  # the openai package expects a string
async def test_thinking_in_blocks_of_the_content_is_no_text(
    client: OpenAIModel, model: ModelServer
) -> None:
    block = {"type": "thinking", "thinking": [{"type": "text", "text": "They greet."}]}
    model.script = [deltas({"content": [block]}, {"content": [{"type": "text", "text": "Hello!"}]})]
    found = await read(client)
    assert text_of(found) == "Hello!"
    assert "".join(delta.thinking for delta in found) == "They greet."


async def test_text_before_a_lone_closing_tag_is_taken_back_and_held_back_from_then_on(
    client: OpenAIModel, model: ModelServer
) -> None:
    model.default = say("They greet.</think>Hello!", size=4)
    first, second = await read(client), await read(client)
    at = next(at for at, delta in enumerate(first) if delta.retracts)
    assert text_of(first[:at]) == "They greet."
    assert text_of(first[at:]) == text_of(second) == "Hello!"
    model.default = say("Just so.")
    assert text_of(await read(client)) == "Just so."


@pytest.mark.parametrize("reason", ["stop", "length"])
@pytest.mark.parametrize(
    "chunk", [{"content": "<think>Hm, "}, {"content": "<think>Hm</think>\n"}, {"reasoning": "Hm"}]
)
async def test_an_answer_of_nothing_but_thinking_fails_and_is_asked_once(
    client: OpenAIModel, model: ModelServer, chunk: dict[str, Any], reason: str
) -> None:
    model.script = [deltas(chunk, reason=reason)]
    with pytest.raises(OnlyThinking) as caught:
        await read(client)
    assert len(model.requests) == 1
    assert ("BOT_MAX_ANSWER_TOKENS" in caught.value.cure) == (reason == "length")


async def test_an_answer_cut_in_its_text_is_cut_as_any(
    client: OpenAIModel, model: ModelServer
) -> None:
    model.script = [deltas({"reasoning": "Hm"}, {"content": "Hel"}, reason="length")]
    with pytest.raises(AnswerCut):
        await read(client)


@pytest.mark.parametrize(
    "sign_of_life",
    [b": keep-alive\n\n", b": OPENROUTER PROCESSING\n\n", b"\n", "reasoning"],
    ids=["comment", "OpenRouter", "empty line", "reasoning"],
)
async def test_silent_thinking_may_take_longer_than_the_first_token_limit(
    model: ModelServer, sign_of_life: bytes | str
) -> None:
    """M5: keep-alives and reasoning chunks keep the limit of silence away."""

    async def think_long(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        for _ in range(12):
            await asyncio.sleep(0.25)
            if isinstance(sign_of_life, bytes):
                await response.write(sign_of_life)
            else:
                await exchange.send(response, {"reasoning_content": "hm "})
        await exchange.pieces(response, "Hello!")
        return await exchange.end(response, "stop", "")

    model.script = [think_long]
    client = OpenAIModel(Endpoint("m", "key", model.base_url, first_token_timeout_s=2, retries=0))
    assert text_of(await read(client)) == "Hello!"
    await client.aclose()
