"""Checks of the model's endpoints for `keepthread doctor`."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from bot.model.doctor import check
from bot.model.traits import LearnedTraits, Traits
from bot.ports import Check
from bot.settings import Settings
from bot.storage.key_value import RedisKeyValueStore
from tests.fakes import endpoint_dialects as dialects
from tests.fakes.chat_templates import ANY, GEMMA, ChatTemplate
from tests.fakes.model_server import ModelServer, fail, respond, say
from tests.support.service_harness import service_settings

NAME = "model gpt-5-mini"


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {item.name: item for item in checks}


@pytest.mark.parametrize(
    ("behaviour", "detail", "cure"),
    [
        (fail(404, "model_not_found"), "no", "For example: gpt-5-mini, gpt-5-large"),
        (fail(429, "insufficient_quota"), "no", "Add credit"),
        (fail(500, message="engine on fire"), "engine on fire", "ask the provider"),
        (fail(400, message="unsupported frobnication"), "unsupported frobnication", "provider"),
        (respond('{"error": "the wheels fell off"}', 500), "the wheels fell off", "provider"),
        (respond("", 301, Location="https://api.example.org/v1/chat/completions"), "moved to",
         "Set OPENAI_BASE_URL to https://api.example.org/v1"),
        (respond("<!doctype html><title>Hi</title>"), "a web page", "up to and with /v1"),
        (fail(400, message="API key not valid. Please pass a valid API key."), "API key not valid",
         "Check OPENAI_API_KEY"),
        (fail(403, message="Your organization must be verified to stream this model."), "verified",
         "Settle it at the provider"),
    ],
)  # fmt: skip
async def test_each_failure_of_a_model_has_a_cure_after_one_request(
    settings: Settings, model: ModelServer, behaviour: Any, detail: str, cure: str
) -> None:
    """M3, M12, M14: the vendor's words, and whose problem it is."""
    model.default = behaviour
    (found,) = await check(service_settings(settings, model, bot_model="gpt-5-minni"))
    assert (found.name, found.state) == ("model gpt-5-minni", "failed")
    assert detail in found.detail
    assert cure in found.cure
    assert len(model.requests) == 1


async def test_the_check_asks_as_a_chat_does(settings: Settings, model: ModelServer) -> None:
    """M9: no limit of its own, all roles, the settings of chats."""
    changes = {"bot_model": "m", "bot_temperature": 0.3, "bot_max_answer_tokens": 900}
    await check(service_settings(settings, model, **changes))
    first, second = model.requests
    roles = ["system", "user", "assistant", "user"]
    assert [message["role"] for message in first.messages] == roles
    assert [message["role"] for message in second.messages] == roles
    assert (first.body["temperature"], first.body["max_completion_tokens"]) == (0.3, 900)
    assert first.messages[0]["content"] == settings.bot_system_prompt
    model.requests.clear()
    await check(service_settings(settings, model))
    assert not {"max_completion_tokens", "max_tokens", "temperature"} & set(model.requests[0].body)


@pytest.mark.parametrize(
    ("dialect", "template", "expected"),
    [
        (dialects.OPENAI, ANY, {}),
        (dialects.MISTRAL, ANY, {}),
        (dialects.OPENAI, GEMMA, {"": ("ok", "takes no system message")}),
        (dialects.NO_LIMIT, ANY, {" answer limit": ("warning", "BOT_MAX_ANSWER_TOKENS")}),
        (dialects.AZURE_REASONING, ANY, {" temperature": ("warning", "BOT_TEMPERATURE")}),
        (dialects.OPENROUTER_TEXT, ANY, {" pictures": ("off", "sees none")}),
        (dialects.LLAMA_CPP_TEXT, ANY, {" pictures": ("off", "sees none")}),
    ],
)
async def test_an_endpoint_that_chats_adapt_to_passes_and_is_described(
    settings: Settings,
    model: ModelServer,
    dialect: dialects.Dialect,
    template: ChatTemplate,
    expected: dict[str, tuple[str, str]],
) -> None:
    """M9: what fails here fails in chats, and the other way round."""
    model.dialect, model.template = dialect, template
    changes = {"bot_model": "m", "bot_temperature": 0.3, "bot_max_answer_tokens": 900}
    found = by_name(await check(service_settings(settings, model, **changes)))
    assert found["model m"].state == "ok"
    for suffix, (state, detail) in expected.items():
        assert found[f"model m{suffix}"].state == state
        assert detail in found[f"model m{suffix}"].detail
        assert state == "ok" or found[f"model m{suffix}"].cure
    others = {
        name: c.state for name, c in found.items() if name.removeprefix("model m") not in expected
    }
    assert set(others.values()) <= {"ok"}


async def test_findings_are_kept_for_chats(
    settings: Settings, model: ModelServer, redis: Redis
) -> None:
    """M9: learned once, also by doctor; what no longer holds is forgotten."""
    key_values = RedisKeyValueStore(redis, settings.bot_redis_prefix)
    traits = LearnedTraits(model.base_url, "gpt-5-mini", key_values)
    await traits.learn(system_role=False, context_tokens=7)
    model.dialect = dialects.DEEPSEEK
    await check(service_settings(settings, model), key_values)
    assert await LearnedTraits(model.base_url, "gpt-5-mini", key_values).read() == Traits(
        images=False
    )


async def test_a_long_answer_is_not_read_to_its_end(settings: Settings, model: ModelServer) -> None:
    model.default = say("word " * 10_000)
    assert (await check(service_settings(settings, model)))[0].state == "ok"


async def test_a_broken_fallback_is_found_while_the_primary_works(
    settings: Settings, model: ModelServer
) -> None:
    model.script = [say("OK"), say("OK"), fail(401)]
    first, _, second = await check(service_settings(settings, model, bot_fallback_model="other"))
    assert first.state == "ok"
    assert (second.name, second.state) == ("fallback model other", "failed")
    assert "BOT_FALLBACK_API_KEY" in second.cure
    assert "BOT_FALLBACK_MODEL" in second.cure


async def test_an_answer_cut_at_the_token_limit_passes_the_check(
    settings: Settings, model: ModelServer
) -> None:
    model.script = [say("Okay, I", reason="length")]
    found, _ = await check(service_settings(settings, model))
    assert found == Check(NAME, "ok", model.base_url)


async def test_a_limit_that_is_an_error_passes_the_check(
    settings: Settings, model: ModelServer
) -> None:
    """M9: gpt-5 calls a limit that its thinking reached an error."""
    model.default = fail(400, "", "Could not finish the message because max_tokens was reached.")
    assert (await check(service_settings(settings, model)))[0].state == "ok"
