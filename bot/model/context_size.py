"""Size of the context that a server gives a model, asked where it tells, for `keepthread doctor`.

Ollama, llama.cpp and others cut a longer prompt in silence, its beginning first: the instructions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bot.model.openai import Endpoint
from bot.ports import Check

TIMEOUT_S = 5
SIZE_NAMES = ("loaded_context_length", "max_model_len", "context_length", "context_window", "n_ctx")
"""Fields of a model's entry: LM Studio's, vLLM's, OpenRouter's, Groq's, llama.cpp's."""
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)", re.M)
OLLAMA_DEFAULT = 4_096
"""Context of Ollama without `num_ctx` (docs.ollama.com/context-length); it reports the model's own all the same."""


async def check_context(name: str, endpoint: Endpoint, budget_tokens: int) -> list[Check]:
    """A warning if the context is smaller than the prompts we make; nothing where it is not told."""
    size = 0 if endpoint.is_openai else await context_size(endpoint)
    if not size or size >= budget_tokens:
        return []
    return [
        Check(
            f"{name} context",
            "warning",
            f"the server holds {size:,} tokens, BOT_HISTORY_TOKENS is {budget_tokens:,}: "
            "it cuts longer prompts, perhaps in silence, and the instructions first",
            f"Set BOT_HISTORY_TOKENS={size * 3 // 4}, or give the server a larger context "
            "(Ollama: OLLAMA_CONTEXT_LENGTH; llama.cpp: --ctx-size; vLLM: --max-model-len).",
        )
    ]


async def context_size(endpoint: Endpoint) -> int:
    """Tokens of the context, as the server tells it; 0 if it does not."""
    import httpx2

    parts = urlsplit(endpoint.base_url or "")
    root, base = f"{parts.scheme}://{parts.netloc}", (endpoint.base_url or "").rstrip("/")
    async with httpx2.AsyncClient(
        timeout=TIMEOUT_S, headers={"Authorization": f"Bearer {endpoint.api_key}"}
    ) as client:

        async def ask(method: str, url: str, **more: Any) -> Mapping[str, Any]:
            try:
                found = (await client.request(method, url, **more)).json()
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
                return {}
            return found if isinstance(found, dict) else {}

        shown = await ask("POST", f"{root}/api/show", json={"model": endpoint.model})
        if "model_info" in shown or "modelfile" in shown:
            given = _NUM_CTX.search(str(shown.get("parameters") or ""))
            return int(given[1]) if given else OLLAMA_DEFAULT
        props = await ask("GET", f"{root}/props")
        served = props.get("default_generation_settings")
        if isinstance(served, dict) and (size := _size_in(served)):
            return size
        listed = (await ask("GET", f"{base}/models")).get("data")
    entries = (
        [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    )
    return next((_size_in(item) for item in entries if item.get("id") == endpoint.model), 0)


def _size_in(entry: Mapping[str, Any]) -> int:
    sizes = (entry.get(name) for name in SIZE_NAMES)
    return next((size for size in sizes if type(size) is int and size > 0), 0)
