"""The fallback model: asked when the primary is down, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from pydantic import SecretStr

from bot import errors
from bot.model.factory import build_model
from bot.model.fallback import FallbackModel
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import Message, Model, Prompt
from bot.settings import Settings
from tests.fakes import model_server as fake
from tests.fakes.model_server import ModelServer

PROMPT = Prompt((Message("user", "hello"),))


def pair(model: ModelServer, *, primary_timeout_s: float = 30) -> FallbackModel:
    return FallbackModel(
        *(
            OpenAIModel(
                Endpoint(name, "k", model.base_url, first_token_timeout_s=timeout_s, retries=0)
            )
            for name, timeout_s in (("first", primary_timeout_s), ("second", 30.0))
        )
    )


@pytest.fixture
async def fallback_model(model: ModelServer) -> AsyncIterator[FallbackModel]:
    made = pair(model)
    yield made
    await made.aclose()


async def ask(fallback_model: Model) -> tuple[str, str]:
    """The answer, and the name of the model that gave it."""
    text, by = "", ""
    async with aclosing(fallback_model.stream(PROMPT)) as deltas:
        async for delta in deltas:
            text, by = text + delta.text, delta.model or by
    return text, by


def asked(model: ModelServer) -> list[str]:
    return [seen.body["model"] for seen in model.requests]


@pytest.mark.parametrize(
    "outage",
    [
        fake.fail(500),
        fake.fail(429),
        fake.fail(401),
        fake.fail(404),
        fake.fail(429, "insufficient_quota"),
        fake.cut(""),
        fake.garbage(),
    ],
)
async def test_the_fallback_answers_whatever_the_outage_of_the_primary(
    model: ModelServer, fallback_model: FallbackModel, outage: fake.Behaviour
) -> None:
    model.script = [outage]
    assert await ask(fallback_model) == ("You said: hello", "second")
    assert asked(model) == ["first", "second"]


async def test_the_fallback_answers_when_the_primary_hangs(
    model: ModelServer,
) -> None:
    model.script = [fake.hang()]
    fallback_model = pair(model, primary_timeout_s=0.2)
    assert await ask(fallback_model) == ("You said: hello", "second")
    await fallback_model.aclose()


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (fake.fail(400, "context_length_exceeded"), errors.PromptTooLong),
        (fake.fail(400, "content_filter"), errors.AnswerFiltered),
        (fake.fail(400, "invalid_value"), errors.PromptRefused),
        (fake.cut("half an answer"), errors.AnswerCut),
    ],
)
async def test_the_fallback_is_not_asked_after_a_refused_prompt_or_half_an_answer(
    model: ModelServer,
    fallback_model: FallbackModel,
    refusal: fake.Behaviour,
    kind: type[errors.ModelError],
) -> None:
    model.script = [refusal]
    with pytest.raises(kind):
        await ask(fallback_model)
    assert asked(model) == ["first"]


async def test_a_primary_that_was_down_is_skipped_during_the_cooldown(model: ModelServer) -> None:
    models = [OpenAIModel(Endpoint(n, "k", model.base_url, retries=0)) for n in ("first", "second")]
    cooling, eager = FallbackModel(*models), FallbackModel(*models, cooldown_s=0)
    for fallback_model, expected in (
        (cooling, ["first", "second", "second"]),
        (eager, ["first"] * 2),
    ):
        model.requests.clear()
        model.script = [fake.fail(500), fake.say("one"), fake.say("two")]
        await ask(fallback_model)
        await ask(fallback_model)
        assert [
            name for name in asked(model) if fallback_model is cooling or name == "first"
        ] == expected
    await cooling.aclose()


async def test_the_error_of_the_fallback_is_raised_when_both_are_down(
    model: ModelServer, fallback_model: FallbackModel
) -> None:
    model.script = [fake.fail(500), fake.fail(401)]
    with pytest.raises(errors.ModelKeyRefused):
        await ask(fallback_model)


async def test_the_fallback_may_have_another_endpoint_and_key(
    model: ModelServer, settings: Settings
) -> None:
    async with ModelServer(default=fake.fail(401)) as broken:
        given = settings.model_copy(
            update={
                "openai_base_url": broken.base_url,
                "openai_api_key": SecretStr("one"),
                "bot_fallback_model": "other",
                "bot_fallback_base_url": model.base_url,
                "bot_fallback_api_key": SecretStr("two"),
            }
        )
        fallback_model = build_model(given, _never)
        assert await ask(fallback_model) == ("You said: hello", "other")
        await fallback_model.aclose()
        assert broken.requests[0].headers["Authorization"] == "Bearer one"
    assert model.requests[0].headers["Authorization"] == "Bearer two"


async def _never() -> tuple[str, str]:
    raise AssertionError("no local model is wanted")
