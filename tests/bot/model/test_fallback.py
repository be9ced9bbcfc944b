"""The fallback model: asked when the primary is down, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from pydantic import SecretStr

from bot import errors
from bot.model.factory import build_model
from bot.model.fallback import CircuitBreaker, FallbackModel
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


async def ask(fallback_model: Model, prompt: Prompt = PROMPT) -> tuple[str, str]:
    """The answer, and the name of the model that gave it."""
    text, by = "", ""
    async with aclosing(fallback_model.stream(prompt)) as deltas:
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


def prompt_of(conversation: str, text: str = "hello") -> Prompt:
    return Prompt((Message("user", text),), cache_key=conversation)


REFUSALS_OF_ONE = [
    fake.fail(403, "flagged", "who knows why"),
    fake.fail(500),
    fake.fail(404, "", "something with the thing"),
    fake.fail(429),
    fake.cut(""),
]


@pytest.mark.parametrize("refusal", REFUSALS_OF_ONE)
async def test_a_request_of_one_person_that_fails_again_and_again_moves_nobody_else(
    model: ModelServer, fallback_model: FallbackModel, refusal: fake.Behaviour
) -> None:
    """M11: the breaker opens on failures of the endpoint."""
    for _ in range(5):
        model.script = [refusal]
        assert (await ask(fallback_model, prompt_of("mallory")))[1] == "second"
    assert (await ask(fallback_model, prompt_of("ada")))[1] == "first"


async def test_failures_of_several_conversations_keep_requests_away_for_the_cooldown(
    model: ModelServer,
) -> None:
    """M11: for that time the primary is not asked; then it is."""
    models = [OpenAIModel(Endpoint(n, "k", model.base_url, retries=0)) for n in ("first", "second")]
    for cooldown_s, third in ((60.0, "second"), (0.0, "first")):
        fallback_model = FallbackModel(*models, cooldown_s=cooldown_s)
        for name in ("ada", "ben"):
            model.script = [fake.fail(500)]
            assert (await ask(fallback_model, prompt_of(name)))[1] == "second"
        model.requests.clear()
        assert (await ask(fallback_model, prompt_of("cem")))[1] == third
        assert asked(model) == [third]
    await fallback_model.aclose()


async def test_requests_that_find_no_connection_open_the_breaker_in_one_conversation_too(
    model: ModelServer,
) -> None:
    """M11: connect errors of different requests are the endpoint's."""
    first = OpenAIModel(Endpoint("first", "k", "http://127.0.0.1:9/v1", retries=0))
    second = OpenAIModel(Endpoint("second", "k", model.base_url, retries=0))
    fallback_model = FallbackModel(first, second)
    for _ in range(3):
        await ask(fallback_model, prompt_of("ada"))
    assert not fallback_model._breaker.is_open
    await ask(fallback_model, prompt_of("ada", "hello again"))
    assert fallback_model._breaker.is_open
    await fallback_model.aclose()


def test_a_success_between_failures_keeps_the_breaker_closed() -> None:
    breaker = CircuitBreaker()
    for number in range(10):
        breaker.add_failure(prompt_of(f"c{number}"), errors.ModelBroken())
        breaker.add_success()
    assert not breaker.is_open


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Your credit balance is too low to access the Anthropic API."),
        (429, "Your account is suspended due to insufficient balance, please recharge"),
        (400, "API key not valid. Please pass a valid API key."),
        (403, "Your organization must be verified to stream this model."),
        (405, "Method Not Allowed"),
    ],
)
async def test_a_problem_of_the_operator_is_answered_by_the_fallback(
    model: ModelServer, fallback_model: FallbackModel, status: int, message: str
) -> None:
    """M12: the fallback is asked."""
    model.script = [fake.fail(status, "", message)]
    assert (await ask(fallback_model))[1] == "second"
    assert asked(model) == ["first", "second"]


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
