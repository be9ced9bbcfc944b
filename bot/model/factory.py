"""From settings to a model."""

from __future__ import annotations

from pydantic import SecretStr

from bot.model.fallback import FallbackModel
from bot.model.local.lazy import LazyModel, StartLocal
from bot.model.openai import NO_KEY, Endpoint, OpenAIModel
from bot.ports import Model
from bot.settings import Settings


def build_model(settings: Settings, start_local: StartLocal) -> Model:
    """The model the settings ask for, with its fallback if there is one."""
    if settings.uses_local_model:
        return LazyModel(settings, start_local)
    first, *second = (OpenAIModel(endpoint) for endpoint in endpoints(settings))
    return FallbackModel(first, *second) if second else first


def endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    """The model's, and the fallback's if there is one."""
    first = _endpoint(settings, settings.bot_model)
    if settings.bot_fallback_model is None:
        return (first,)
    second = _endpoint(
        settings,
        settings.bot_fallback_model,
        settings.bot_fallback_base_url,
        settings.bot_fallback_api_key,
    )
    return first, second


def _endpoint(
    settings: Settings, model: str, base_url: str | None = None, key: SecretStr | None = None
) -> Endpoint:
    secret = key or settings.openai_api_key
    return Endpoint(
        model,
        secret.get_secret_value() if secret else NO_KEY,
        base_url or settings.openai_base_url,
        settings.bot_first_token_timeout_s,
        settings.bot_model_timeout_s,
        settings.bot_temperature,
        settings.bot_max_answer_tokens,
    )
