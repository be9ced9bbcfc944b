"""M8: `keepthread doctor` names a context that is smaller than our prompts, where the server tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bot.model.context_size import check_context, context_size
from bot.model.openai import Endpoint

OLLAMA = {"/api/show": {"model_info": {"llama.context_length": 131_072}, "parameters": "stop x"}}
SET_OLLAMA = {"/api/show": {"model_info": {}, "parameters": "stop x\nnum_ctx     8192"}}
LLAMA_CPP = {"/props": {"default_generation_settings": {"n_ctx": 2_048}}}


def listing(**fields: Any) -> dict[str, Any]:
    return {"/v1/models": {"data": [{"id": "other", "max_model_len": 1}, {"id": "m", **fields}]}}


@asynccontextmanager
async def serving(answers: dict[str, Any]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        if request.path in answers:
            return web.json_response(answers[request.path])
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("answers", "size"),
    [
        (OLLAMA, 4_096),
        (SET_OLLAMA, 8_192),
        (LLAMA_CPP, 2_048),
        (listing(max_model_len=4_096), 4_096),
        (listing(context_length=200_000), 200_000),
        (listing(context_window="large"), 0),
        ({"/v1/models": ["m"]}, 0),
        ({"/v1/models": {"data": [7]}}, 0),
        ({}, 0),
    ],
)
async def test_the_context_is_asked_where_the_server_tells_it(
    answers: dict[str, Any], size: int
) -> None:
    """M8: `/v1/models`, `/props`, `/api/show`."""
    async with serving(answers) as base_url:
        assert await context_size(Endpoint("m", "key", base_url)) == size


async def test_a_context_that_is_too_small_is_a_warning_with_its_cure() -> None:
    async with serving(OLLAMA) as base_url:
        endpoint = Endpoint("m", "key", base_url)
        (found,) = await check_context("model m", endpoint, 16_000)
        assert (found.name, found.state) == ("model m context", "warning")
        assert "4,096" in found.detail
        assert "BOT_HISTORY_TOKENS=3072" in found.cure
        assert await check_context("model m", endpoint, 4_000) == []
