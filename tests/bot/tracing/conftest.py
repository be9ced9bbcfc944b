"""Fixtures of tracing: a LangSmith server, a model that echoes, and a tracer and a ChatOpenAI on them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from httpx2 import AsyncClient
from langchain_openai import ChatOpenAI

from bot.ports import Tracer
from bot.tracing import build_tracer
from tests.fakes.langsmith_server import LangSmithServer
from tests.fakes.model_server import ModelServer
from tests.support.tracing_harness import KEY, echo, tracing_settings


@pytest.fixture
async def langsmith_server() -> AsyncIterator[LangSmithServer]:
    async with LangSmithServer(api_key=KEY) as server:
        yield server
        assert server.problems == []


@pytest.fixture
async def endpoint() -> AsyncIterator[ModelServer]:
    async with ModelServer(default=echo()) as server:
        yield server


@pytest.fixture
async def chat(endpoint: ModelServer) -> AsyncIterator[ChatOpenAI]:
    async with AsyncClient() as client:
        yield ChatOpenAI(
            model="echo-1",
            base_url=endpoint.base_url,
            api_key="none",  # type: ignore[arg-type]
            http_async_client=client,
            default_headers={"X-Inner": "leaked-header"},
            stream_usage=True,
            max_retries=0,
        )


@pytest.fixture
async def tracer(langsmith_server: LangSmithServer) -> AsyncIterator[Tracer]:
    built = build_tracer(tracing_settings(langsmith_server.url))
    yield built
    langsmith_server.fault = ""
    langsmith_server.release()
    await built.aclose()
