"""Factory of the model from settings."""

from __future__ import annotations

from pydantic import SecretStr

from bot.model.fallback import FallbackModel
from bot.model.local.lazy import LazyModel, StartLocal
from bot.model.openai import NO_KEY, Endpoint, OpenAIModel
from bot.model.traits import LearnedTraits
from bot.ports import KeyValueStore, Model
from bot.settings import Settings


def build_model(
    settings: Settings, start_local: StartLocal, key_values: KeyValueStore | None = None
) -> Model:
    """The model the settings ask for, with its fallback if there is one.

    Args:
        key_values: where the traits of endpoints are kept; None: in memory alone.
    """
    if settings.uses_local_model:
        return LazyModel(settings, start_local)
    primary, *fallbacks = (
        OpenAIModel(endpoint, learned_traits(endpoint, key_values))
        for endpoint in endpoints(settings)
    )
    return FallbackModel(primary, *fallbacks) if fallbacks else primary


def learned_traits(endpoint: Endpoint, key_values: KeyValueStore | None) -> LearnedTraits:
    """Traits of an endpoint's model, shared by all processes with the same store."""
    return LearnedTraits(endpoint.base_url or "", endpoint.model, key_values)


def endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    """Endpoints of the model, and of its fallback if there is one."""
    primary = _endpoint(settings, settings.bot_model)
    if settings.bot_fallback_model is None:
        return (primary,)
    fallback = _endpoint(
        settings,
        settings.bot_fallback_model,
        settings.bot_fallback_base_url,
        settings.bot_fallback_api_key,
    )
    return primary, fallback


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
