"""M1: a model without a system role is found out once, and gets its instructions from the user."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.errors import ModelError
from bot.model.chat import adapted
from bot.model.openai import Endpoint, OpenAIModel
from bot.model.traits import LearnedTraits, Traits
from bot.ports import Message, Prompt
from bot.settings import Settings
from bot.storage.key_value import RedisKeyValueStore
from tests.bot.prompt.prompt_harness import CONTEXT, answered, asked, past_of
from tests.fakes.chat_templates import STRICT, WITHOUT_SYSTEM, ChatTemplate
from tests.fakes.model_server import ModelServer

PROMPT = CONTEXT.build(past_of(answered(1), summary="Ada likes tea."), asked("and now?"))


async def ask(client: OpenAIModel, prompt: Prompt = PROMPT) -> str:
    return "".join([delta.text async for delta in client.stream(prompt)])


@pytest.mark.parametrize("template", WITHOUT_SYSTEM.values(), ids=WITHOUT_SYSTEM)
async def test_a_model_without_a_system_role_is_found_out_once(
    model: ModelServer, redis: Redis, settings: Settings, template: ChatTemplate
) -> None:
    """M1: by the first refusal; the next request, of another process too, is asked rightly at once."""
    model.template = template
    store = RedisKeyValueStore(redis, settings.bot_redis_prefix)
    sizes = []
    for _ in range(2):
        traits = LearnedTraits(model.base_url, "m", store)
        client = OpenAIModel(Endpoint("m", "key", model.base_url, retries=0), traits)
        assert await ask(client) == "You said: and now?"
        assert await ask(client) == "You said: and now?"
        await client.aclose()
        sizes.append(len(model.refused))
    assert sizes == [1, 1]
    first = model.requests[-1].messages[0]
    assert first["role"] == "user"
    assert "Be kind." in first["content"]
    assert "question 1" in first["content"]


async def test_a_model_with_a_system_role_keeps_it(model: ModelServer) -> None:
    model.template = STRICT
    client = OpenAIModel(Endpoint("m", "key", model.base_url, retries=0))
    odd = Prompt((Message("system", "Be kind."), Message("user", "hi"), Message("user", "hi")))
    with pytest.raises(ModelError):
        await ask(client, odd)
    await ask(client)
    assert model.requests[-1].messages[0] == {"role": "system", "content": "Be kind."}
    await client.aclose()


@pytest.mark.parametrize("template", WITHOUT_SYSTEM.values(), ids=WITHOUT_SYSTEM)
def test_every_prompt_without_its_system_message_is_in_order(template: ChatTemplate) -> None:
    """M1: the instructions stand in the first user message."""
    for past in (past_of(), past_of(answered(1)), past_of(asked("x").ended("overheard", ""))):
        messages = adapted(CONTEXT.build(past, asked("hi")).messages, Traits(system_role=False))
        sent = [{"role": message.role, "content": message.text} for message in messages]
        assert not template.refusal(sent)
