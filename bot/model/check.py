"""What `keepthread doctor` says of the model's endpoint."""

from __future__ import annotations

import difflib

from bot.errors import AnswerCut, ModelError, ModelMissing
from bot.model.build import NO_KEY
from bot.model.chat import ChatModel, Endpoint
from bot.ports import Check, Message, Prompt
from bot.settings import Settings


async def check(settings: Settings) -> list[Check]:
    """Ask the model for a word."""
    name = f"model {settings.bot_model}"
    key = settings.openai_api_key
    model = ChatModel(
        Endpoint(
            settings.bot_model,
            key.get_secret_value() if key else NO_KEY,
            settings.openai_base_url,
            first_token_timeout_s=20,
            timeout_s=30,
            max_answer_tokens=16,
        )
    )
    where = settings.openai_base_url or "OpenAI"
    try:
        async for _ in model.stream(Prompt((Message("user", "Say OK."),))):
            pass
    except AnswerCut:  # 16 tokens were enough to see that it answers
        return [Check(name, "ok", where)]
    except ModelMissing as error:
        near = await _nearest(settings, NO_KEY if key is None else key.get_secret_value())
        return [Check(name, "failed", str(error), f"{error.cure} {near}".strip())]
    except ModelError as error:
        return [Check(name, "failed", str(error), error.cure or "Try again; ask the provider.")]
    finally:
        await model.aclose()
    return [Check(name, "ok", where)]


async def _nearest(settings: Settings, key: str) -> str:
    """A few models that do exist there, or nothing."""
    import httpx2

    base = (settings.openai_base_url or "https://api.openai.com/v1").rstrip("/")
    try:
        async with httpx2.AsyncClient(timeout=10) as client:
            found = await client.get(f"{base}/models", headers={"Authorization": f"Bearer {key}"})
            names = [str(item["id"]) for item in found.json()["data"]]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return ""
    near = (
        difflib.get_close_matches(settings.bot_model, names, n=3, cutoff=0.3) or sorted(names)[:3]
    )
    return "For example: " + ", ".join(near) if near else ""
