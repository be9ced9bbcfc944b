"""Settings of the core, read once, typed and frozen. Misspelt names are refused.

The name of a field is the name of its environment variable in lower case. `keepthread doctor`
and the README's table (tests/project/test_readme.py) are made from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import platformdirs
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bot.settings.base import Names, SettingsBase
from bot.settings.validators import is_access_pattern, is_http_url

DEFAULT_SYSTEM_PROMPT = (
    "You are a helpful assistant in a chat. Answer in the language you are spoken to, in Markdown, "
    "briefly unless asked for more. You remember what was said earlier in this conversation. "
    "Where messages begin with a name and a colon, several people talk: the name is who speaks, "
    "and further lines of theirs are indented."
)


class Settings(SettingsBase):
    """The core's settings."""

    own_prefixes = ("BOT_",)

    # Model
    openai_api_key: SecretStr | None = Field(
        None,
        description="Key for the model's endpoint. Without it and `OPENAI_BASE_URL` a small model runs locally.",
    )
    openai_base_url: str | None = Field(
        None, description="Any OpenAI-compatible endpoint, up to and with `/v1`."
    )
    bot_model: str = Field("gpt-5-mini", description="The model's name at the endpoint.")
    bot_fallback_model: str | None = Field(
        None, description="Asked when the first model is down and nothing was shown yet."
    )
    bot_fallback_base_url: str | None = Field(
        None, description="Endpoint of the fallback model; the first one's if unset."
    )
    bot_fallback_api_key: SecretStr | None = Field(
        None, description="Key of the fallback endpoint; the first one's if unset."
    )
    bot_local_model: Path | None = Field(
        None, description="A GGUF file to run locally instead of the default small model."
    )
    bot_model_timeout_s: float = Field(
        180, gt=0, description="The longest a whole answer may take, in seconds."
    )
    bot_first_token_timeout_s: float = Field(
        60, gt=0, description="The longest silence of the model's endpoint, in seconds."
    )
    bot_temperature: float | None = Field(
        None, ge=0, le=2, description="Sampling temperature; the model's own default if unset."
    )
    bot_max_answer_tokens: int | None = Field(
        None, gt=0, description="Longest answer, in tokens; the model's own default if unset."
    )
    bot_show_thinking: bool = Field(
        False, description="Show what the model thinks before its answer; it is never remembered."
    )
    bot_system_prompt: str = Field(
        DEFAULT_SYSTEM_PROMPT, description="What the model is told before each conversation."
    )
    # Memory
    redis_url: SecretStr | None = Field(
        None,
        description="`redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`. "
        "Without it an embedded server keeps its data in `BOT_DATA_DIR`.",
    )
    bot_redis_prefix: str = Field(
        "keepthread",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="First part of every Redis key.",
    )
    bot_data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("keepthread", appauthor=False)),
        description="Where the embedded server and the local model keep their files; the user data folder if unset.",
    )
    bot_history_tokens: int = Field(
        16_000,
        ge=256,
        description="Most tokens of conversation given to the model (estimated, on the safe side).",
    )
    bot_history_low_water: float = Field(
        0.5,
        ge=0.1,
        le=0.8,  # compaction begins at 0.85 (bot/prompt/builder.py)
        description="When the budget is full, history is folded down to this share of it.",
    )
    bot_history_ttl_days: float = Field(
        90,
        gt=0,
        le=36_500,
        description="A conversation is forgotten this many days after its last use.",
    )
    bot_summarize: bool = Field(
        True, description="Fold old turns into a summary. `false` just drops them from the prompt."
    )
    # Rights
    bot_allow: Names = Field(
        (),
        description="Who may talk: `slack:T1`, `slack:T1/U1`, `slack:T1/C1`, `telegram:42`, `telegram:-100123`, `telegram:*`.",
    )
    bot_admins: Names = Field(
        (), description="Who may reset shared conversations: the same patterns, of persons."
    )
    bot_platform_admins: bool = Field(
        True, description="Slack workspace admins and Telegram group administrators are admins too."
    )
    # Serving
    bot_http_host: str = Field(
        "127.0.0.1", description="Where webhooks, probes and metrics listen."
    )
    bot_http_port: int = Field(
        8080, ge=0, le=65535, description="Port of the same; 0 takes a free one."
    )
    bot_max_turns: int = Field(
        200, ge=1, description="Turns one worker process runs at the same time."
    )
    bot_max_turns_per_person: int = Field(
        4, ge=1, description="Turns one person may have running at the same time in a worker."
    )
    bot_max_waiting: int = Field(
        100,
        ge=1,
        description="Messages that may wait in one conversation; further ones get a polite word.",
    )
    bot_max_attempts: int = Field(
        5, ge=1, description="After so many failed attempts a turn becomes a dead letter."
    )
    bot_lease_s: float = Field(
        30,
        ge=1,
        description="After so many silent seconds a worker counts as dead and its turns move on.",
    )
    bot_drain_s: float = Field(
        25, ge=0, description="On SIGTERM, running turns may finish for so many seconds."
    )
    bot_shards: int = Field(
        8,
        ge=1,
        le=256,
        description="Queues that conversations are spread over. Change it only while the inbox is empty.",
    )
    bot_wait_for_disk: bool = Field(
        False,
        description="Acknowledge a message only when Redis has it on disk (`WAITAOF`; Redis 7.2 or Valkey).",
    )
    bot_wait_for_replicas: int = Field(
        0,
        ge=0,
        le=8,
        description="Acknowledge a message only when so many replicas have it (`WAIT`): for Sentinel and Cluster.",
    )
    bot_encryption_key: SecretStr | None = Field(
        None, description="Encrypts stored platform tokens (any long random text)."
    )
    bot_log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="How much is logged."
    )
    bot_log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`auto`: text on a terminal, JSON elsewhere."
    )
    # LangSmith
    langsmith_tracing: bool = Field(
        False,
        validation_alias=AliasChoices("langsmith_tracing", "langchain_tracing_v2"),
        description="Trace every turn in LangSmith. (`LANGCHAIN_TRACING_V2` works too.)",
    )
    langsmith_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("langsmith_api_key", "langchain_api_key"),
        description="LangSmith key. (`LANGCHAIN_API_KEY` works too.)",
    )
    langsmith_endpoint: str = Field(
        "https://api.smith.langchain.com",
        validation_alias=AliasChoices("langsmith_endpoint", "langchain_endpoint"),
        description="LangSmith address. (`LANGCHAIN_ENDPOINT` works too.)",
    )
    langsmith_project: str = Field(
        "keepthread",
        validation_alias=AliasChoices("langsmith_project", "langchain_project"),
        description="LangSmith project. (`LANGCHAIN_PROJECT` works too.)",
    )

    @field_validator("bot_allow", "bot_admins")
    @classmethod
    def _check_patterns(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for item in value:
            if not is_access_pattern(item, of_person=info.field_name == "bot_admins"):
                raise ValueError(f"{item!r} is no pattern such as slack:T1/U1 or telegram:42")
        return value

    @field_validator("openai_base_url", "bot_fallback_base_url", "langsmith_endpoint")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and not is_http_url(value):
            raise ValueError("is no address such as https://api.example.org/v1")
        return value

    @field_validator("bot_data_dir", "bot_local_model")
    @classmethod
    def _make_absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else value

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if messages := self._impossible_combinations():
            raise ValueError("\n".join(messages))
        return self

    @property
    def uses_local_model(self) -> bool:
        """Whether the small model on this machine answers: there is neither key nor endpoint."""
        return self.openai_api_key is None and self.openai_base_url is None

    def _impossible_combinations(self) -> list[str]:
        """One message for each combination of settings that cannot work."""
        messages = []
        if self.bot_wait_for_replicas and self.redis_url is None:
            messages.append(
                "BOT_WAIT_FOR_REPLICAS needs REDIS_URL: the embedded server has no replicas"
            )
        if self.bot_fallback_model is None:
            messages += [
                f"{name.upper()} needs BOT_FALLBACK_MODEL: without it none is asked"
                for name in ("bot_fallback_base_url", "bot_fallback_api_key")
                if getattr(self, name) is not None
            ]
        elif self.uses_local_model:
            messages.append(
                "BOT_FALLBACK_MODEL needs OPENAI_API_KEY or OPENAI_BASE_URL: the local model has no fallback"
            )
        return messages
