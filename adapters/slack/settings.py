"""Slack's settings."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from bot.errors import SettingsError
from bot.settings import Names, SettingsBase

Transport = Literal["socket", "http"]


class SlackSettings(SettingsBase):
    """Settings of the Slack adapter. Socket Mode needs no public address and wins where both are set."""

    own_prefixes = ("SLACK_",)

    slack_bot_token: SecretStr | None = Field(
        None, description="Bot token of one workspace (OAuth & Permissions page of the app)."
    )
    slack_app_token: SecretStr | None = Field(
        None,
        description="App-level token with `connections:write`: events come through Socket Mode.",
    )
    slack_signing_secret: SecretStr | None = Field(
        None, description="Signing secret: events come signed to `/slack/events`."
    )
    slack_api_url: str = Field(
        "https://slack.com/api/", description="Root of the Web API (GovSlack: slack-gov.com)."
    )
    slack_client_id: str | None = Field(
        None, description="Client id: other workspaces may install the app at `/slack/install`."
    )
    slack_client_secret: SecretStr | None = Field(
        None, description="Client secret, for the same. Needs `BOT_ENCRYPTION_KEY` too."
    )
    slack_workspaces: Names = Field(
        (), description="Ids of the workspaces that may install the app; any may if unset."
    )
    slack_mentions_only: Names = Field(
        (), description="Channel ids in whose threads the bot speaks only when mentioned."
    )
    slack_answer_apps: Names = Field(
        (),
        description="App ids (A…) or bot ids (B…) of workflows and apps that are answered when they mention the bot.",
    )

    @field_validator(
        "slack_bot_token",
        "slack_app_token",
        "slack_signing_secret",
        "slack_client_id",
        "slack_client_secret",
        mode="before",
    )
    @classmethod
    def _without_blanks(cls, value: object) -> object:
        """A secret read from a file often ends with a line break, which would make every signature wrong."""
        return (value.strip() or None) if isinstance(value, str) else value

    @field_validator("slack_api_url")
    @classmethod
    def _is_root(cls, value: str) -> str:
        if not re.match(r"https?://[^/\s]+", value):
            raise ValueError("must begin with https://")
        return value.strip().rstrip("/") + "/"

    @property
    def any_set(self) -> bool:
        """Whether the adapter is configured at all."""
        return any(
            (
                self.slack_bot_token,
                self.slack_app_token,
                self.slack_signing_secret,
                self.slack_client_id,
                self.slack_client_secret,
            )
        )

    @property
    def transport(self) -> Transport:
        return "socket" if self.slack_app_token else "http"

    @property
    def multi_workspace(self) -> bool:
        return bool(self.slack_client_id and self.slack_client_secret)

    def require_complete(self) -> None:
        """Raises SettingsError if something is missing; names it."""
        if bool(self.slack_client_id) != bool(self.slack_client_secret):
            raise SettingsError(
                "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET go together, and one of them is not set",
                cure="Copy both from the app's Basic Information page, or set neither.",
            )
        if not self.slack_bot_token and not self.multi_workspace:
            raise SettingsError(
                "Slack needs SLACK_BOT_TOKEN, or SLACK_CLIENT_ID and SLACK_CLIENT_SECRET",
                cure="Copy the Bot User OAuth Token from the app's OAuth & Permissions page.",
            )
        if not self.slack_app_token and not self.slack_signing_secret:
            raise SettingsError(
                "Slack needs SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP)",
                cure="Make an app-level token with connections:write on the app's Basic Information page.",
            )
        for name, token, start in (
            ("SLACK_BOT_TOKEN", self.slack_bot_token, "xoxb-"),
            ("SLACK_APP_TOKEN", self.slack_app_token, "xapp-"),
        ):
            if token and not token.get_secret_value().startswith((start, "xoxe.")):
                raise SettingsError(
                    f"{name} does not begin with {start}, so it is another kind of token",
                    cure="Bot tokens begin with xoxb-, app-level tokens with xapp-.",
                )
