"""Traits of endpoints: learned from a refusal, once, and shared through Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.errors import PromptRefused, StoreUnavailable
from bot.model.chat import INSTRUCTIONS_TITLE, NO_IMAGES, adapted
from bot.model.openai import IMAGE_REFUSED_NOTICE, NO_IMAGES_NOTICE, Endpoint, OpenAIModel
from bot.model.traits import DEFAULT, TTL_S, LearnedTraits, Traits
from bot.ports import Message, Prompt
from bot.settings import Settings
from bot.storage.key_value import RedisKeyValueStore
from tests.fakes import endpoint_dialects as dialects
from tests.fakes import model_server as fake
from tests.fakes.chat_templates import WITHOUT_SYSTEM, ChatTemplate
from tests.fakes.model_server import ModelServer

PICTURE = "data:image/png;base64,AA=="
PROMPT = Prompt((Message("system", "be kind"), Message("user", "hello")))
PICTURE_PROMPT = Prompt((Message("system", "be kind"), Message("user", "what is it?", (PICTURE,))))


@pytest.fixture
async def client(model: ModelServer) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel(
        Endpoint("m", "key", model.base_url, temperature=0.2, max_answer_tokens=16, retries=0)
    )
    yield made
    await made.aclose()


async def ask(client: OpenAIModel, prompt: Prompt = PROMPT) -> str:
    async with aclosing(client.stream(prompt)) as deltas:
        return "".join([delta.text async for delta in deltas])


@pytest.mark.parametrize(
    ("dialect", "expected", "requests"),
    [
        (dialects.OPENAI, DEFAULT, 1),
        (dialects.MISTRAL, Traits(limit_name="max_tokens"), 2),
        (dialects.NO_LIMIT, Traits(limit_name=""), 3),
        (dialects.AZURE_REASONING, Traits(temperature=False), 2),
        (
            dialects.FASTAPI,
            Traits(limit_name="max_tokens", temperature=False, stream_options=False),
            4,
        ),
    ],
)
async def test_a_refused_parameter_is_left_out_from_then_on(
    model: ModelServer,
    client: OpenAIModel,
    dialect: dialects.Dialect,
    expected: Traits,
    requests: int,
) -> None:
    """M9: the dialect of an endpoint is learned once."""
    model.dialect = dialect
    assert await ask(client) == "You said: hello"
    assert client.traits.current == expected
    assert len(model.requests) == requests
    assert await ask(client) == "You said: hello"
    assert len(model.requests) == requests + 1


async def test_a_limit_that_is_too_high_is_left_out_and_not_renamed(
    model: ModelServer, client: OpenAIModel
) -> None:
    model.script = [
        fake.fail(
            400, "invalid_value", "max_completion_tokens is too large: 16. Supported: at most 8"
        )
    ]
    assert await ask(client) == "You said: hello"
    assert client.traits.current.limit_name == ""
    assert "max_tokens" not in model.requests[-1].body


@pytest.mark.parametrize("template", WITHOUT_SYSTEM.values(), ids=WITHOUT_SYSTEM)
async def test_a_model_without_a_system_role_gets_the_instructions_from_the_user(
    model: ModelServer, client: OpenAIModel, template: ChatTemplate
) -> None:
    """M1: found out by the first refusal."""
    model.template = template
    assert "You said:" in await ask(client)
    assert not client.traits.current.system_role
    (message,) = model.requests[-1].messages
    assert message["role"] == "user"
    assert message["content"].startswith(INSTRUCTIONS_TITLE)
    assert "be kind" in message["content"]
    assert message["content"].endswith("hello")
    assert "You said:" in await ask(client)
    assert len(model.requests) == 3


@pytest.mark.parametrize("dialect", dialects.TEXT_ONLY.values(), ids=dialects.TEXT_ONLY)
async def test_a_model_that_sees_no_pictures_is_asked_without_them_and_the_person_told(
    model: ModelServer, client: OpenAIModel, dialect: dialects.Dialect
) -> None:
    """M10: one refused request, then none."""
    model.dialect = dialect
    model.default = fake.say("A guess.")
    for requests in (2, 3):
        assert await ask(client, PICTURE_PROMPT) == f"{NO_IMAGES_NOTICE}A guess."
        assert len(model.requests) == requests
        assert model.requests[-1].messages[-1]["content"] == f"what is it?\n{NO_IMAGES}"
    assert not client.traits.current.images
    assert await ask(client) == "A guess."


async def test_a_picture_refused_in_unknown_words_is_left_out_once(
    model: ModelServer, client: OpenAIModel
) -> None:
    """M10: words prove nothing of the model, and the person has an answer all the same."""
    model.script = [fake.fail(400, "", "¡no puedo!"), fake.say("Hm.")]
    assert await ask(client, PICTURE_PROMPT) == f"{IMAGE_REFUSED_NOTICE}Hm."
    assert client.traits.current.images
    assert len(model.requests) == 2


async def test_a_picture_that_is_refused_by_itself_proves_nothing_of_the_model(
    model: ModelServer, client: OpenAIModel
) -> None:
    model.script = [fake.fail(400, "invalid_image", "Could not process image"), fake.say("Hm.")]
    assert "couldn't see the picture" in await ask(client, PICTURE_PROMPT)
    assert client.traits.current.images


async def test_a_lesson_is_not_kept_if_the_request_is_refused_without_the_trait_too(
    model: ModelServer, client: OpenAIModel
) -> None:
    model.default = fake.fail(400, "", "temperature, system role not supported, whatever you say")
    with pytest.raises(PromptRefused):
        await ask(client)
    assert client.traits.current == DEFAULT


@pytest.fixture
def key_values(redis: Redis, settings: Settings) -> RedisKeyValueStore:
    return RedisKeyValueStore(redis, settings.bot_redis_prefix)


async def test_traits_are_shared_between_processes_and_have_a_life(
    redis: Redis, settings: Settings, key_values: RedisKeyValueStore
) -> None:
    first, other = LearnedTraits("u", "m", key_values), LearnedTraits("u", "m", key_values)
    await first.learn(images=False)
    await other.learn(context_tokens=4096)
    assert other.current == Traits(images=False, context_tokens=4096)
    assert await LearnedTraits("u", "m", key_values).read() == other.current
    assert await LearnedTraits("u", "another", key_values).read() == DEFAULT
    (name,) = [key async for key in redis.scan_iter(f"{settings.bot_redis_prefix}:note:*")]
    assert 0 < await redis.pttl(name) <= TTL_S * 1000


async def test_traits_that_expired_are_unknown_again(key_values: RedisKeyValueStore) -> None:
    traits = LearnedTraits("u", "m", key_values)
    await traits.learn(system_role=False)
    await key_values.delete(traits._name)
    traits._read_at = float("-inf")
    assert await traits.read() == DEFAULT


async def test_traits_stay_in_memory_while_redis_is_down() -> None:
    class Down:
        async def get(self, name: str) -> str:
            raise StoreUnavailable("gone")

        async def set(self, name: str, value: str, *, ttl_s: float) -> None:
            raise StoreUnavailable("gone")

        async def delete(self, name: str) -> None:
            raise StoreUnavailable("gone")

    traits = LearnedTraits("u", "m", Down())
    await traits.learn(images=False)
    assert await traits.read() == Traits(images=False)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"images": "no"}', '{"context_tokens": true}', '{"new": 1}', '"x"'],
)
def test_traits_of_another_version_count_as_unknown(text: str) -> None:
    assert Traits.from_json(text) == DEFAULT


def test_traits_survive_their_own_json() -> None:
    traits = replace(DEFAULT, limit_name="", images=False, context_tokens=7)
    assert Traits.from_json(traits.to_json()) == traits


@pytest.mark.parametrize(
    ("messages", "roles"),
    [
        ([("system", "s")], ["user"]),
        ([("system", "s"), ("user", "u")], ["user"]),
        ([("system", "s"), ("assistant", "a")], ["user", "assistant"]),
        ([("user", "u")], ["user"]),
        ([], []),
    ],
)
def test_instructions_go_into_the_first_user_message(messages: Any, roles: list[str]) -> None:
    given = tuple(Message(role, text) for role, text in messages)
    found = adapted(given, replace(DEFAULT, system_role=False))
    assert [message.role for message in found] == roles
    assert all(message.text in " ".join(m.text for m in found) for message in given)
