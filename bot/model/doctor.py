"""Checks of the model's endpoint, and of the fallback's, for `keepthread doctor`."""

from __future__ import annotations

import difflib
from dataclasses import replace

from bot.errors import AnswerCut, ModelError, ModelMissing, OnlyThinking
from bot.logs import redact
from bot.model.factory import endpoints
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import Check, Message, Prompt
from bot.settings import Settings

HELLO = Prompt((Message("user", "Say OK."),))
FALLBACK_NAMES = {
    "OPENAI_API_KEY": "BOT_FALLBACK_API_KEY",
    "OPENAI_BASE_URL": "BOT_FALLBACK_BASE_URL",
    "BOT_MODEL": "BOT_FALLBACK_MODEL",
}
"""Settings named in cures, and the fallback's setting of the same meaning."""


async def check(settings: Settings) -> list[Check]:
    """Send a short prompt to each model."""
    primary, *fallbacks = endpoints(settings)
    checks = [await _check_endpoint(f"model {primary.model}", primary)]
    for endpoint in fallbacks:
        checked = await _check_endpoint(f"fallback model {endpoint.model}", endpoint)
        for name, fallback_name in FALLBACK_NAMES.items():
            checked = replace(checked, cure=checked.cure.replace(name, fallback_name))
        checks.append(checked)
    return checks


async def _check_endpoint(name: str, endpoint: Endpoint) -> Check:
    where = redact(endpoint.base_url or "OpenAI")
    model = OpenAIModel(
        replace(endpoint, first_token_timeout_s=20, timeout_s=30, max_answer_tokens=16, retries=0)
    )
    try:
        async for _ in model.stream(HELLO):
            pass
    except (AnswerCut, OnlyThinking):  # the model answers; 16 tokens are enough to know
        return Check(name, "ok", where)
    except ModelMissing as error:
        suggestion = await _suggest_models(endpoint)
        return Check(name, "failed", f"{where}: {error}", f"{error.cure} {suggestion}".strip())
    except ModelError as error:
        cure = error.cure or "Try again; ask the provider."
        return Check(name, "failed", f"{where}: {error}", cure)
    finally:
        await model.aclose()
    return Check(name, "ok", where)


async def _suggest_models(endpoint: Endpoint) -> str:
    """Sentence with a few models that the endpoint has; `""` if it lists none."""
    import httpx2

    base = (endpoint.base_url or "https://api.openai.com/v1").rstrip("/")
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    try:
        async with httpx2.AsyncClient(timeout=10) as client:
            response = await client.get(f"{base}/models", headers=headers)
            names = [str(item["id"]) for item in response.json()["data"]]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return ""
    near = difflib.get_close_matches(endpoint.model, names, n=3, cutoff=0.3) or sorted(names)[:3]
    return "For example: " + ", ".join(near) if near else ""
