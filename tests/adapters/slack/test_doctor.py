"""Checks of tokens, apps and scopes: each failure has its cure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.slack import doctor
from adapters.slack.adapter import ADAPTER
from adapters.slack.api.workspaces import Workspaces, new_session
from adapters.slack.manifest import SCOPES
from adapters.slack.settings import SlackSettings
from adapters.slack.transport.socket_mode import SocketMode
from bot.errors import PlatformError, PlatformRefused, SettingsError
from bot.ports import Check
from bot.settings import Settings
from tests.adapters.slack.inbound_harness import slack_settings
from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN, Caller, SlackServer


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with SlackServer(socket_url=lambda: "ws://127.0.0.1:1/link") as found:
        yield found


def settings_of(server: SlackServer, **changes: Any) -> SlackSettings:
    return slack_settings(server.api_url, **{"slack_app_token": SecretStr(APP_TOKEN), **changes})


@asynccontextmanager
async def signing_on(own: SlackSettings) -> AsyncIterator[tuple[Workspaces, SocketMode]]:
    async with new_session() as session:
        workspaces = Workspaces(own, session)
        token = own.slack_app_token
        assert token is not None

        async def nothing(_: dict[str, Any]) -> None:
            raise AssertionError

        yield (
            workspaces,
            SocketMode(workspaces.new_client(None), session, token.get_secret_value(), nothing),
        )


async def checked(own: SlackSettings, *, has_key: bool = True) -> dict[str, Check]:
    async with signing_on(own) as (workspaces, sockets):
        return {
            check.name: check for check in await doctor.check(own, workspaces, sockets, has_key)
        }


async def test_doctor_names_the_bot_and_its_workspace_when_all_is_well(server: SlackServer) -> None:
    checks = await checked(settings_of(server))
    assert {check.state for check in checks.values()} == {"ok"}
    assert "Acme" in checks["slack token"].detail


async def test_a_bad_token_is_refused(server: SlackServer) -> None:
    checks = await checked(settings_of(server, slack_bot_token=SecretStr("xoxb-other")))
    assert checks["slack token"].state == "failed"
    assert "SLACK_BOT_TOKEN" in checks["slack token"].cure
    checks = await checked(settings_of(server, slack_app_token=SecretStr("xapp-1-A1-other")))
    assert checks["slack events"].state == "failed"
    assert "SLACK_APP_TOKEN" in checks["slack events"].cure
    server.fail("apps.connections.open", error="missing_scope")
    checks = await checked(settings_of(server))
    assert "connections:write" in checks["slack events"].cure


async def test_tokens_of_two_apps_are_refused_with_both_names(server: SlackServer) -> None:
    other = "xapp-1-A2-test"
    server.app_tokens.add(other)
    checks = await checked(settings_of(server, slack_app_token=SecretStr(other)))
    assert "app A1" in checks["slack events"].detail
    assert "app A2" in checks["slack events"].detail


async def test_missing_scopes_are_named(server: SlackServer) -> None:
    server.tokens[BOT_TOKEN] = Caller(scopes=tuple(set(SCOPES) - {"files:read", "reactions:read"}))
    checks = await checked(settings_of(server))
    assert checks["slack token"].state == "warning"
    assert "files:read, reactions:read" in checks["slack token"].detail
    assert "manifest" in checks["slack token"].cure
    server.tokens[BOT_TOKEN] = Caller(scopes=tuple(set(SCOPES) - {"chat:write"}))
    async with signing_on(settings_of(server)) as (workspaces, _):
        with pytest.raises(PlatformRefused, match="chat:write"):
            await doctor.sign_on(workspaces)


async def test_a_persons_token_is_no_bots(server: SlackServer) -> None:
    token = BOT_TOKEN.replace("xoxb-", "xoxe.xoxp-")
    server.tokens[token] = Caller(bot_id="")
    async with signing_on(settings_of(server, slack_bot_token=SecretStr(token))) as (
        workspaces,
        _,
    ):
        with pytest.raises(PlatformRefused, match="person"):
            await doctor.sign_on(workspaces)


async def test_a_bots_token_is_one_though_slack_leaves_out_the_bots_id(server: SlackServer) -> None:
    server.tokens[BOT_TOKEN] = Caller(bot_id="")
    assert {check.state for check in (await checked(settings_of(server))).values()} == {"ok"}


@pytest.mark.parametrize(
    "failure", [{"status": 404}, {"error": "internal_error"}, {"cut": True}, {"status": 429}]
)
async def test_an_unreachable_slack_has_a_cure_too(
    server: SlackServer, failure: dict[str, Any]
) -> None:
    server.fail("auth.test", **failure)
    server.fail("apps.connections.open", **failure)
    checks = await checked(settings_of(server))
    assert {check.state for check in checks.values()} == {"failed"}
    assert all("SLACK_API_URL" in check.cure for check in checks.values())


async def test_slack_being_down_is_not_a_bad_token(server: SlackServer) -> None:
    server.fail("auth.test", status=503, times=9)
    async with signing_on(settings_of(server)) as (workspaces, _):
        with pytest.raises(PlatformError) as raised:
            await doctor.sign_on(workspaces)
    assert not isinstance(raised.value, PlatformRefused)


async def test_slack_is_asked_once_who_the_bot_is(server: SlackServer) -> None:
    async with signing_on(settings_of(server)) as (workspaces, _):
        for _ in range(3):
            assert await doctor.sign_on(workspaces) is not None
    assert len(server.called("auth.test")) == 1


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"slack_app_token": "xapp-1"}, "SLACK_BOT_TOKEN"),
        ({"slack_bot_token": "xoxb-1"}, "SLACK_APP_TOKEN"),
        ({"slack_bot_token": "xapp-1", "slack_app_token": "xapp-1"}, "SLACK_BOT_TOKEN"),
        ({"slack_bot_token": "xoxb-1", "slack_app_token": "xoxb-1"}, "SLACK_APP_TOKEN"),
        ({"slack_client_id": "1.2", "slack_signing_secret": "x"}, "SLACK_CLIENT_SECRET"),
        ({"slack_client_secret": "x", "slack_bot_token": "xoxb-1"}, "SLACK_CLIENT_ID"),
        ({"slack_signing_secret": "x"}, "SLACK_BOT_TOKEN"),
    ],
)
def test_tokens_that_are_missing_or_mixed_up_are_named(given: dict[str, str], named: str) -> None:
    settings = SlackSettings.load(**given)
    assert settings.any_set
    with pytest.raises(SettingsError, match=named) as raised:
        settings.require_complete()
    assert raised.value.cure


def test_no_secret_is_shown() -> None:
    settings = SlackSettings.load(slack_bot_token="xoxb-not-for-eyes", slack_client_secret="hush")
    assert "not-for-eyes" not in repr(settings)
    assert "hush" not in repr(settings)


def test_line_breaks_around_secrets_are_no_part_of_them() -> None:
    own = SlackSettings.load(
        slack_bot_token=" xoxb-1\n", slack_app_token="\r\n", slack_signing_secret="s\r\n"
    )
    own.require_complete()
    assert own.slack_bot_token is not None
    assert own.slack_signing_secret is not None
    assert own.slack_bot_token.get_secret_value() == "xoxb-1"
    assert own.slack_signing_secret.get_secret_value() == "s"
    assert own.transport == "http"


def test_the_transport_follows_what_is_set() -> None:
    both = {"slack_bot_token": "xoxb-1", "slack_signing_secret": "s"}
    assert SlackSettings.load(**both).transport == "http"
    assert SlackSettings.load(**both, slack_app_token="xapp-1").transport == "socket"
    quiet = SlackSettings.load(
        slack_mentions_only="C1, C2", slack_api_url="https://slack-gov.com/api"
    )
    assert quiet.slack_mentions_only == ("C1", "C2")
    assert quiet.slack_api_url == "https://slack-gov.com/api/"


async def test_slack_without_settings_is_off(settings: Settings) -> None:
    own = SlackSettings.load()
    assert not ADAPTER.is_configured(own)
    assert [check.state for check in await ADAPTER.check(settings, own)] == ["off"]


@pytest.mark.parametrize("empty", [",", "", " , ", ",,\n"])
def test_lists_without_entries_are_empty(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list with one empty name would let no workspace install the app."""
    monkeypatch.setenv("SLACK_WORKSPACES", empty)
    monkeypatch.setenv("SLACK_MENTIONS_ONLY", empty)
    own = SlackSettings.load()
    assert (own.slack_workspaces, own.slack_mentions_only) == ((), ())
