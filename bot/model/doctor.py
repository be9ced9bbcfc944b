"""Checks of the model's endpoint, and of the fallback's, for `keepthread doctor`."""

from __future__ import annotations

import base64
import difflib
import struct
import zlib
from contextlib import aclosing
from dataclasses import replace

from bot.errors import AnswerCut, ModelError, ModelMissing, OnlyThinking
from bot.logs import redact
from bot.model.context_size import check_context
from bot.model.factory import endpoints, learned_traits
from bot.model.openai import IMAGE_REFUSED_NOTICE, Endpoint, OpenAIModel
from bot.model.refusals.kinds import CURE_LIMIT, CURE_TEMPERATURE
from bot.model.traits import Traits
from bot.ports import Check, KeyValueStore, Message, Prompt
from bot.settings import Settings

FIRST_TOKEN_TIMEOUT_S = 30
TIMEOUT_S = 60
ENOUGH_CHARS = 200
"""After so much of an answer it is plain that the model answers."""
SUMMARY = "[notes of what was said earlier]\n> The user greeted you.\n[end of the notes]"
FALLBACK_NAMES = {
    "OPENAI_API_KEY": "BOT_FALLBACK_API_KEY",
    "OPENAI_BASE_URL": "BOT_FALLBACK_BASE_URL",
    "BOT_MODEL": "BOT_FALLBACK_MODEL",
}
"""Settings named in cures, and the fallback's setting of the same meaning."""
CURE_IMAGES = "Set BOT_MODEL to a model that sees pictures, if people send them."


async def check(settings: Settings, key_values: KeyValueStore | None = None) -> list[Check]:
    """Ask each model as a chat does, with every role, and with a picture.

    Args:
        key_values: where what was found out of the endpoints is kept for chats; None: nowhere.
    """
    primary, *fallbacks = endpoints(settings)
    checks = await _check_endpoint(f"model {primary.model}", primary, settings, key_values)
    for endpoint in fallbacks:
        name = f"fallback model {endpoint.model}"
        for checked in await _check_endpoint(name, endpoint, settings, key_values):
            cure = checked.cure
            for setting, fallback_setting in FALLBACK_NAMES.items():
                cure = cure.replace(setting, fallback_setting)
            checks.append(replace(checked, cure=cure))
    return checks


async def _check_endpoint(
    name: str, endpoint: Endpoint, settings: Settings, key_values: KeyValueStore | None
) -> list[Check]:
    where = redact(endpoint.base_url or "OpenAI")
    patience = replace(
        endpoint, first_token_timeout_s=FIRST_TOKEN_TIMEOUT_S, timeout_s=TIMEOUT_S, retries=0
    )
    model = OpenAIModel(patience)
    try:
        await _ask(model, _prompt(settings))
        pictures = await _check_pictures(f"{name} pictures", model, settings)
    except ModelMissing as error:
        cure = f"{error.cure} {await _suggest_models(endpoint)}".strip()
        return [Check(name, "failed", f"{where}: {error}", cure)]
    except ModelError as error:
        cure = error.cure or "Try again; ask the provider."
        return [Check(name, "failed", f"{where}: {error}", cure)]
    finally:
        await model.aclose()
    traits = model.traits.current
    await learned_traits(endpoint, key_values).replace(traits)
    detail = "; ".join((where, *_adaptations(traits)))
    context = await check_context(name, endpoint, settings.bot_history_tokens)
    unusable = _unusable_settings(name, endpoint, traits)
    return [Check(name, "ok", detail), *unusable, *context, pictures]


def _prompt(settings: Settings, images: tuple[str, ...] = ()) -> Prompt:
    """Prompt with all that a chat's has: instructions, a summary, an earlier answer, a new message."""
    system = (Message("system", settings.bot_system_prompt),) if settings.bot_system_prompt else ()
    earlier = Message("user", f"{SUMMARY}\n\nHello."), Message("assistant", "Hello!")
    return Prompt((*system, *earlier, Message("user", "Say OK.", images)))


async def _ask(model: OpenAIModel, prompt: Prompt) -> str:
    """The beginning of an answer. Raises ModelError if there is none."""
    answer = ""
    try:
        async with aclosing(model.stream(prompt)) as deltas:
            async for delta in deltas:
                answer += delta.text
                if len(answer) > ENOUGH_CHARS:
                    break
    except (AnswerCut, OnlyThinking):  # it answers; at which limit is no question here
        pass
    return answer


async def _check_pictures(name: str, model: OpenAIModel, settings: Settings) -> Check:
    picture = f"data:image/png;base64,{base64.b64encode(_png(64)).decode()}"
    try:
        answer = await _ask(model, _prompt(settings, (picture,)))
    except ModelError as error:
        return Check(name, "warning", f"not looked at: {error}", error.cure)
    if answer.startswith(IMAGE_REFUSED_NOTICE):
        return Check(name, "warning", "a picture was refused, and left out", CURE_IMAGES)
    if model.traits.current.images:
        return Check(name, "ok")
    detail = "sees none: they are left out, and the person is told"
    return Check(name, "off", detail, CURE_IMAGES)


def _adaptations(traits: Traits) -> list[str]:
    """How chats adapt to the endpoint."""
    found = []
    if not traits.system_role:
        found.append("takes no system message: the instructions stand in the first message")
    if not traits.stream_options:
        found.append("tells no token counts: they are estimated")
    return found


def _unusable_settings(name: str, endpoint: Endpoint, traits: Traits) -> list[Check]:
    """A warning for each setting that the endpoint does not take."""
    checks = []
    if endpoint.temperature is not None and not traits.temperature:
        detail = "takes no BOT_TEMPERATURE: it is left out"
        checks.append(Check(f"{name} temperature", "warning", detail, CURE_TEMPERATURE))
    if endpoint.max_answer_tokens is not None and not traits.limit_name:
        detail = "takes no such BOT_MAX_ANSWER_TOKENS: it is left out"
        checks.append(Check(f"{name} answer limit", "warning", detail, CURE_LIMIT))
    return checks


def _png(side: int) -> bytes:
    """A red square: some endpoints refuse pictures of a few pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = (b"\0" + b"\xff\0\0" * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", head)
        + part(b"IDAT", zlib.compress(rows))
        + part(b"IEND", b"")
    )


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
