"""Settings of the Telegram adapter."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bot.settings import SettingsBase

WEBHOOK_PATH = "/telegram"


class TelegramSettings(SettingsBase):
    """Settings from the environment, like the core's."""

    own_prefixes = ("TELEGRAM_",)

    telegram_bot_token: SecretStr | None = Field(
        None, description="The bot's token, from @BotFather. Without it Telegram is off."
    )
    telegram_api_url: str = Field(
        "https://api.telegram.org",
        description="Address of the Bot API; set it to use a Bot API server of your own.",
    )
    telegram_local_files_dir: Path | None = Field(
        None,
        description="Folder where a Bot API server of your own in local mode keeps its files on this machine. Unset: no file is read from disk.",
    )
    telegram_webhook_url: str | None = Field(
        None,
        description="Public `https://` address that leads to `/telegram` of the HTTP server. Unset: long polling.",
    )
    telegram_webhook_secret: SecretStr | None = Field(
        None,
        description="Proves that a webhook call is Telegram's: 1–256 of `A-Z a-z 0-9 _ -`. Made from the token if unset.",
    )
    telegram_streaming: Literal["auto", "edits", "off"] = Field(
        "auto",
        description="How answers grow: `auto` (drafts in private chats, edits elsewhere), `edits` everywhere, or `off`.",
    )
    telegram_feedback: bool = Field(True, description="Put 👍 👎 buttons under answers.")
    telegram_chat_interval_s: float = Field(
        1.0,
        ge=0.02,
        description="Least seconds between two messages in one chat (Telegram asks for 1).",
    )
    telegram_group_per_minute: int = Field(
        20, ge=1, description="Most messages and edits a minute in one group (Telegram allows 20)."
    )
    telegram_poll_s: int = Field(
        30, ge=1, le=50, description="How long one poll waits for news, in seconds."
    )

    telegram_comment_wait_s: float = Field(
        0.5,
        ge=0,
        le=5,
        description="How long a message waits for what its author forwards along with it, in seconds; both become one turn.",
    )

    @field_validator("telegram_bot_token")
    @classmethod
    def _is_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"\d+:[\w-]+", value.get_secret_value()):
            raise ValueError(
                "no bot token: they look like 123456:ABC-DEF, as @BotFather shows them"
            )
        return value

    @field_validator("telegram_api_url", "telegram_webhook_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("must be an address that begins with https://")
        return value.rstrip("/") if value else value

    @field_validator("telegram_webhook_secret")
    @classmethod
    def _is_secret(cls, value: SecretStr | None) -> SecretStr | None:
        # https://core.telegram.org/bots/api#setwebhook
        if value is not None and not re.fullmatch(r"[\w-]{1,256}", value.get_secret_value(), re.A):
            raise ValueError("must be 1–256 of A-Z a-z 0-9 _ -")
        return value

    @model_validator(mode="after")
    def _check_local_files(self) -> Self:
        if self.telegram_local_files_dir is not None and self.is_cloud:
            raise ValueError(
                "TELEGRAM_LOCAL_FILES_DIR needs TELEGRAM_API_URL: Telegram's own servers keep no files here"
            )
        return self

    @property
    def token(self) -> str:
        return self.telegram_bot_token.get_secret_value() if self.telegram_bot_token else ""

    @property
    def bot_id(self) -> int:
        """The bot's own user id: the part of its token before the colon."""
        return int(self.token.partition(":")[0] or 0)

    @property
    def is_cloud(self) -> bool:
        """Whether Telegram's own servers are used, with their limits on files."""
        return urlsplit(self.telegram_api_url).hostname == "api.telegram.org"

    @property
    def webhook_url(self) -> str:
        """Address of the webhook, with a path; `""` for polling."""
        url = self.telegram_webhook_url or ""
        return url + WEBHOOK_PATH if url and not urlsplit(url).path else url

    @property
    def webhook_secret(self) -> str:
        """The same in every process: given, or made from the token."""
        if self.telegram_webhook_secret is not None:
            return self.telegram_webhook_secret.get_secret_value()
        return hmac.new(self.token.encode(), b"keepthread webhook", hashlib.sha256).hexdigest()
