"""Checks of the model's endpoints for `keepthread doctor`."""

from __future__ import annotations

from typing import Any

import pytest

from bot.model.doctor import check
from bot.ports import Check
from bot.settings import Settings
from tests.fakes.model_server import ModelServer, fail, say
from tests.support.service_harness import service_settings


@pytest.mark.parametrize(
    ("behaviour", "words", "cure"),
    [
        (fail(404, "model_not_found"), "no", "For example: gpt-5-mini, gpt-5-large"),
        (fail(429, "insufficient_quota"), "no", "Add credit"),
        (fail(500, message="engine on fire"), "engine on fire", "ask the provider"),
        (fail(400, message="unsupported temperature"), "unsupported temperature", "provider"),
    ],
)
async def test_each_failure_of_a_model_has_a_cure_after_one_request(
    settings: Settings, model: ModelServer, behaviour: Any, words: str, cure: str
) -> None:
    model.default = behaviour
    (found,) = await check(service_settings(settings, model, bot_model="gpt-5-minni"))
    assert (found.name, found.state) == ("model gpt-5-minni", "failed")
    assert words in found.detail
    assert cure in found.cure
    assert len(model.requests) == 1


async def test_a_broken_fallback_is_found_while_the_primary_works(
    settings: Settings, model: ModelServer
) -> None:
    model.script = [say("OK"), fail(401)]
    first, second = await check(service_settings(settings, model, bot_fallback_model="other"))
    assert first.state == "ok"
    assert (second.name, second.state) == ("fallback model other", "failed")
    assert "BOT_FALLBACK_API_KEY" in second.cure
    assert "BOT_FALLBACK_MODEL" in second.cure


async def test_an_answer_cut_at_the_token_limit_passes_the_check(
    settings: Settings, model: ModelServer
) -> None:
    model.script = [say("Okay, I", reason="length")]
    found = await check(service_settings(settings, model))
    assert found == [Check("model gpt-5-mini", "ok", model.base_url)]
