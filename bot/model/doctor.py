"""What `keepthread doctor` says of the model's endpoint, and of the fallback's."""

from __future__ import annotations

import difflib
from dataclasses import replace

from bot.errors import AnswerCut, ModelError, ModelMissing
from bot.logs import redact
from bot.model.factory import endpoints
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import Check, Message, Prompt
from bot.settings import Settings

HELLO = Prompt((Message("user", "Say OK."),))
OF_FALLBACK = {
    "OPENAI_API_KEY": "BOT_FALLBACK_API_KEY",
    "OPENAI_BASE_URL": "BOT_FALLBACK_BASE_URL",
    "BOT_MODEL": "BOT_FALLBACK_MODEL",
}
"""Names in cures, as they are for the second model."""


async def check(settings: Settings) -> list[Check]:
    """Ask each model for a word."""
    first, *second = endpoints(settings)
    checks = [await _ask(f"model {first.model}", first)]
    for endpoint in second:
        found = await _ask(f"fallback model {endpoint.model}", endpoint)
        for name, own in OF_FALLBACK.items():
            found = replace(found, cure=found.cure.replace(name, own))
        checks.append(found)
    return checks


async def _ask(name: str, endpoint: Endpoint) -> Check:
    where = redact(endpoint.base_url or "OpenAI")
    model = OpenAIModel(
        replace(endpoint, first_token_timeout_s=20, timeout_s=30, max_answer_tokens=16, retries=0)
    )
    try:
        async for _ in model.stream(HELLO):
            pass
    except AnswerCut:  # 16 tokens were enough to see that it answers
        return Check(name, "ok", where)
    except ModelMissing as error:
        near = await _nearest(endpoint)
        return Check(name, "failed", f"{where}: {error}", f"{error.cure} {near}".strip())
    except ModelError as error:
        cure = error.cure or "Try again; ask the provider."
        return Check(name, "failed", f"{where}: {error}", cure)
    finally:
        await model.aclose()
    return Check(name, "ok", where)


async def _nearest(endpoint: Endpoint) -> str:
    """A few models that do exist there, or nothing."""
    import httpx2

    base = (endpoint.base_url or "https://api.openai.com/v1").rstrip("/")
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    try:
        async with httpx2.AsyncClient(timeout=10) as client:
            found = await client.get(f"{base}/models", headers=headers)
            names = [str(item["id"]) for item in found.json()["data"]]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return ""
    near = difflib.get_close_matches(endpoint.model, names, n=3, cutoff=0.3) or sorted(names)[:3]
    return "For example: " + ", ".join(near) if near else ""
