"""The second model: asked when the first is down, and only then."""

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


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


def pair(server: ModelServer, *, first_patience_s: float = 30) -> FallbackModel:
    return FallbackModel(
        *(
            OpenAIModel(
                Endpoint(name, "k", server.base_url, first_token_timeout_s=patience_s, retries=0)
            )
            for name, patience_s in (("first", first_patience_s), ("second", 30.0))
        )
    )


@pytest.fixture
async def both(server: ModelServer) -> AsyncIterator[FallbackModel]:
    made = pair(server)
    yield made
    await made.aclose()


async def ask(model: Model) -> tuple[str, str]:
    """What was answered, and by whom."""
    text, by = "", ""
    async with aclosing(model.stream(PROMPT)) as pieces:
        async for piece in pieces:
            text, by = text + piece.text, piece.model or by
    return text, by


def asked(server: ModelServer) -> list[str]:
    return [seen.body["model"] for seen in server.requests]


@pytest.mark.parametrize(
    "down",
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
async def test_whatever_keeps_the_first_from_answering_the_second_answers(
    server: ModelServer, both: FallbackModel, down: fake.Behaviour
) -> None:
    server.script = [down]
    assert await ask(both) == ("You said: hello", "second")
    assert asked(server) == ["first", "second"]


async def test_a_first_model_that_says_nothing_is_not_waited_for_in_vain(
    server: ModelServer,
) -> None:
    server.script = [fake.hang()]
    both = pair(server, first_patience_s=0.2)
    assert await ask(both) == ("You said: hello", "second")
    await both.aclose()


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (fake.fail(400, "context_length_exceeded"), errors.PromptTooLong),
        (fake.fail(400, "content_filter"), errors.AnswerFiltered),
        (fake.fail(400, "invalid_value"), errors.PromptRefused),
        (fake.cut("half an answer"), errors.AnswerCut),
    ],
)
async def test_what_the_second_would_refuse_too_or_would_say_twice_is_not_asked_of_it(
    server: ModelServer,
    both: FallbackModel,
    refusal: fake.Behaviour,
    kind: type[errors.ModelError],
) -> None:
    server.script = [refusal]
    with pytest.raises(kind):
        await ask(both)
    assert asked(server) == ["first"]


async def test_a_first_that_was_down_is_left_alone_for_a_while(server: ModelServer) -> None:
    models = [
        OpenAIModel(Endpoint(n, "k", server.base_url, retries=0)) for n in ("first", "second")
    ]
    patient, hasty = FallbackModel(*models), FallbackModel(*models, cooldown_s=0)
    for model, expected in ((patient, ["first", "second", "second"]), (hasty, ["first"] * 2)):
        server.requests.clear()
        server.script = [fake.fail(500), fake.say("one"), fake.say("two")]
        await ask(model)
        await ask(model)
        assert [name for name in asked(server) if model is patient or name == "first"] == expected
    await patient.aclose()


async def test_when_both_are_down_the_second_says_why(
    server: ModelServer, both: FallbackModel
) -> None:
    server.script = [fake.fail(500), fake.fail(401)]
    with pytest.raises(errors.ModelKeyRefused):
        await ask(both)


async def test_the_second_may_live_elsewhere_with_a_key_of_its_own(
    server: ModelServer, settings: Settings
) -> None:
    async with ModelServer(default=fake.fail(401)) as broken:
        given = settings.model_copy(
            update={
                "openai_base_url": broken.base_url,
                "openai_api_key": SecretStr("one"),
                "bot_fallback_model": "other",
                "bot_fallback_base_url": server.base_url,
                "bot_fallback_api_key": SecretStr("two"),
            }
        )
        model = build_model(given, _never)
        assert await ask(model) == ("You said: hello", "other")
        await model.aclose()
        assert broken.requests[0].headers["Authorization"] == "Bearer one"
    assert server.requests[0].headers["Authorization"] == "Bearer two"


async def _never() -> tuple[str, str]:
    raise AssertionError("no local model is wanted")
