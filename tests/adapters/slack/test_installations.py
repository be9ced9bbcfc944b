"""Many workspaces: installed over OAuth, tokens kept encrypted and rotated, removed with the app."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from slack_sdk.oauth.installation_store import Bot

from adapters.slack.api.installations import InstallationStore, OAuthStateStore
from adapters.slack.api.workspaces import Workspaces, new_session
from adapters.slack.connection import SlackConnection
from adapters.slack.manifest import SCOPES
from adapters.slack.settings import SlackSettings
from bot.conversation import Address, SessionKey
from bot.errors import PlatformRefused, SettingsError, StoreError
from bot.settings import Settings
from bot.storage.vault import RedisVault
from tests.adapters.slack.inbound_harness import serving_routes, slack_settings
from tests.adapters.slack.recording_core import RecordingCore
from tests.fakes.slack.events import SIGNING_SECRET, SlackEvents
from tests.fakes.slack.server import Caller, SlackServer
from tests.payloads import slack

pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
"""The SDK signs oauth.v2.access with aiohttp's BasicAuth, which aiohttp 4 will drop."""

KEY = SecretStr("a long random text, for a test")
SECOND = "xoxb-second"


@pytest.fixture
async def vault(redis: Redis, settings: Settings) -> RedisVault:
    return RedisVault(redis, settings.bot_redis_prefix, KEY)


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with SlackServer() as found:
        found.tokens[SECOND] = Caller("T2", "UBOT2", "B2", team_name="Bolt & Co")
        yield found


def multi(server: SlackServer, **changes: Any) -> SlackSettings:
    return slack_settings(
        server.api_url,
        **{
            "slack_bot_token": None,
            "slack_signing_secret": SecretStr(SIGNING_SECRET),
            "slack_client_id": "1.2",
            "slack_client_secret": SecretStr("a-client-secret"),
            **changes,
        },
    )


def bot(team: str = "T2", token: str = SECOND, **more: Any) -> Bot:
    return Bot(
        team_id=team, team_name="Bolt & Co", bot_token=token, bot_id="B2", bot_user_id="UBOT2",
        bot_scopes=list(SCOPES), installed_at=time.time(), app_id="A1", **more,
    )  # fmt: skip


@asynccontextmanager
async def running(
    server: SlackServer, settings: Settings, vault: RedisVault, **changes: Any
) -> AsyncIterator[tuple[SlackConnection, RecordingCore, SlackEvents]]:
    core = RecordingCore(settings.model_copy(update={"bot_encryption_key": KEY}), vault)
    connection = await SlackConnection.open(core, multi(server, **changes))
    try:
        async with serving_routes(connection.routes()) as port, SlackEvents() as events:
            events.request_url = f"http://127.0.0.1:{port}/slack/events"
            yield connection, core, events
    finally:
        await connection.aclose()


async def test_an_installation_is_kept_encrypted_and_found_again(
    vault: RedisVault, redis: Redis, server: SlackServer
) -> None:
    store = InstallationStore(vault, "1.2", "secret")
    await store.async_save_bot(bot())
    async with new_session() as session:
        client = Workspaces(multi(server), session).new_client(None)
        found = await store.bot("T2", client)
        assert found is not None
        assert (found.bot_token, found.bot_user_id) == (SECOND, "UBOT2")
        assert await store.bot("T3", client) is None
    for key in [key async for key in redis.scan_iter()]:
        assert SECOND.encode() not in await redis.get(key)
        assert await redis.ttl(key) > 0


async def test_tokens_that_end_soon_are_rotated_once_and_the_new_one_is_kept(
    vault: RedisVault, server: SlackServer
) -> None:
    store = InstallationStore(vault, "1.2", "secret")
    soon = int(time.time()) + 600
    await store.async_save_bot(bot(bot_refresh_token="refresh-1", bot_token_expires_at=soon))
    server.refresh["refresh-1"] = {
        "access_token": "xoxb-rotated",
        "refresh_token": "refresh-2",
        "token_type": "bot",
        "expires_in": 43_200,
    }
    async with new_session() as session:
        client = Workspaces(multi(server), session).new_client(None)
        for _ in range(3):
            found = await store.bot("T2", client)
            assert found is not None
            assert (found.bot_token, found.bot_refresh_token) == ("xoxb-rotated", "refresh-2")
    assert len(server.called("oauth.v2.access")) == 1


async def test_a_token_that_another_process_rotated_is_used(
    vault: RedisVault, server: SlackServer
) -> None:
    store = InstallationStore(vault, "1.2", "secret")
    soon = int(time.time()) + 600
    await store.async_save_bot(bot(bot_refresh_token="used-up", bot_token_expires_at=soon))
    async with new_session() as session:
        client = Workspaces(multi(server), session).new_client(None)
        found = await store.bot("T2", client)
    assert found is not None
    assert found.bot_token == SECOND  # the old one, which still lives for ten minutes


async def test_a_state_is_good_once(vault: RedisVault) -> None:
    states = OAuthStateStore(vault)
    state = await states.async_issue()
    assert await states.async_consume(state)
    assert not await states.async_consume(state)
    assert not await states.async_consume("made up")


async def test_a_workspace_that_installed_the_app_is_served(
    vault: RedisVault, server: SlackServer, settings: Settings
) -> None:
    server.codes["code-1"] = grant()
    async with running(server, settings, vault) as (connection, core, events):
        base = events.request_url.removesuffix("/slack/events")
        async with httpx2.AsyncClient() as browser:
            page = await browser.get(f"{base}/slack/install")
            assert page.status_code == 200
            cookie = SimpleCookie(page.headers["set-cookie"])
            (state,) = (morsel.value for morsel in cookie.values())
            assert state in page.text
            (asked,) = re.findall(r'href="(http://127[^"]*/oauth/[^"]*)"', page.text)
            query = parse_qs(urlsplit(asked.replace("&amp;", "&")).query)
            assert set(query["scope"][0].split(",")) == set(SCOPES)
            back = f"{base}/slack/oauth_redirect?code=code-1&state={state}"
            # Another browser, and a state that nobody issued, install nothing.
            assert (await browser.get(back)).status_code >= 400
            headers = {"Cookie": f"slack-app-oauth-state={state}"}
            assert (await browser.get(back, headers=headers)).status_code == 200
            assert (await browser.get(back, headers=headers)).status_code >= 400
        server.add_person("U5", "Eli", team_id="T2")
        assert (await events.deliver(of_second("message_im"))).acknowledged
        assert [incoming.session.account for incoming in core.enqueued] == ["T2"]
        reply = connection.reply(Address(SessionKey("slack", "T2", "D1")))
        await reply.post("Hello, second workspace.")
        await reply.aclose()
    assert server.messages("D1")[-1].user == "UBOT2"


async def test_a_workspace_that_removes_the_app_is_forgotten(
    vault: RedisVault, server: SlackServer, settings: Settings
) -> None:
    async with running(server, settings, vault) as (connection, core, events):
        await InstallationStore(vault, "1.2", "a-client-secret").async_save_bot(bot())
        body = slack("app_uninstalled")
        body["team_id"] = "T2"
        assert (await events.deliver(body)).acknowledged
        assert await vault.names("slack/") == ()
        await events.deliver(of_second("message_im"))
        assert core.enqueued == []
        with pytest.raises(PlatformRefused):
            await connection.is_admin(Address(SessionKey("slack", "T2", "D1")), _nobody())


async def test_a_revoked_user_token_leaves_the_bot_installed(
    vault: RedisVault, server: SlackServer, settings: Settings
) -> None:
    async with running(server, settings, vault) as (_, __, events):
        await InstallationStore(vault, "1.2", "a-client-secret").async_save_bot(bot())
        body = slack("tokens_revoked", tokens={"oauth": ["U5"]})
        body["team_id"] = "T2"
        assert (await events.deliver(body)).acknowledged
        assert len(await vault.names("slack/")) == 1


async def test_the_single_workspace_stays_beside_the_installed_ones(
    vault: RedisVault, server: SlackServer, settings: Settings
) -> None:
    token = SecretStr("xoxb-test")
    async with running(server, settings, vault, slack_bot_token=token) as (_, core, events):
        await InstallationStore(vault, "1.2", "a-client-secret").async_save_bot(bot())
        assert (await events.deliver(slack("message_im"))).acknowledged
        assert [incoming.session.account for incoming in core.enqueued] == ["T1"]


async def test_a_process_that_could_not_sign_on_at_first_posts_as_soon_as_slack_is_up(
    vault: RedisVault, server: SlackServer, settings: Settings
) -> None:
    """A worker receives no events, so that only its own posts make it sign on."""
    server.fail("auth.test", error="internal_error")
    token = SecretStr("xoxb-test")
    async with running(server, settings, vault, slack_bot_token=token) as (connection, _, __):
        reply = connection.reply(Address(SessionKey("slack", "T1", "D1")))
        await reply.post("Here.")
        await reply.aclose()
    assert [message.text for message in server.answers("D1")] == ["Here."]


async def test_installations_without_an_encryption_key_are_refused_at_the_start(
    server: SlackServer, settings: Settings
) -> None:
    with pytest.raises(SettingsError, match="cannot be stored"):
        await SlackConnection.open(RecordingCore(settings), multi(server))


async def test_events_of_other_workspaces_are_not_acknowledged_while_redis_is_down(
    vault: RedisVault, server: SlackServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(server, settings, vault) as (_, __, events):

        async def down(name: str) -> bytes | None:
            raise StoreError("down")

        monkeypatch.setattr(vault, "get", down)
        events.max_attempts = 1
        assert not (await events.deliver(slack("message_im"))).acknowledged


async def test_a_workspace_that_installs_the_app_anew_is_served_at_once(
    vault: RedisVault, server: SlackServer, settings: Settings
) -> None:
    """Events that came in between were dropped: a missing installation is not cached."""
    store = InstallationStore(vault, "1.2", "a-client-secret")
    async with running(server, settings, vault) as (_, core, events):
        await store.async_save_bot(bot())
        assert (await events.deliver(of_second("message_im"))).acknowledged
        assert (await events.deliver(of_second("app_uninstalled"))).acknowledged
        assert (await events.deliver(of_second("message_im", ts="1.2"))).acknowledged
        assert len(core.enqueued) == 1
        await store.async_save_bot(bot())
        assert (await events.deliver(of_second("message_im", ts="1.3"))).acknowledged
        assert len(core.enqueued) == 2


@pytest.mark.parametrize("is_listed", [True, False])
async def test_workspaces_outside_the_list_neither_install_nor_are_served(
    vault: RedisVault, server: SlackServer, settings: Settings, is_listed: bool
) -> None:
    """Strangers who find the URL could use the model at the operator's expense."""
    server.codes["code-1"] = grant()
    listed = ("T1", "T2") if is_listed else ("T1",)
    async with running(server, settings, vault, slack_workspaces=listed) as (_, core, events):
        base = events.request_url.removesuffix("/slack/events")
        page = await install(base)
        assert page.status_code == (200 if is_listed else 403)
        assert ("not on this bot" in page.text) is not is_listed
        assert len(await vault.names("slack/1.2/bot")) == is_listed
        # An installation made before the list was does not help.
        await InstallationStore(vault, "1.2", "a-client-secret").async_save_bot(bot())
        assert (await events.deliver(of_second("message_im"))).acknowledged
        assert len(core.enqueued) == is_listed


async def test_a_whole_organisation_cannot_install_and_reads_why(
    vault: RedisVault, server: SlackServer, settings: Settings
) -> None:
    organisation = {"is_enterprise_install": True, "enterprise": {"id": "E1", "name": "Acme"}}
    server.codes["code-1"] = grant() | organisation | {"team": None}
    async with running(server, settings, vault) as (_, __, events):
        page = await install(events.request_url.removesuffix("/slack/events"))
        assert page.status_code == 403
        assert "install in each workspace" in page.text
        assert await vault.names("slack/1.2/bot") == ()


@pytest.mark.parametrize("trouble", [{"cut": True}, {"status": 502}, {"error": "internal_error"}])
async def test_the_old_token_is_used_while_slack_cannot_rotate_it(
    vault: RedisVault, server: SlackServer, trouble: dict[str, Any]
) -> None:
    store = InstallationStore(vault, "1.2", "secret")
    soon = int(time.time()) + 600
    await store.async_save_bot(bot(bot_refresh_token="refresh-1", bot_token_expires_at=soon))
    server.fail("oauth.v2.access", times=9, **trouble)
    async with new_session() as session:
        found = await store.bot("T2", Workspaces(multi(server), session).new_client(None))
    assert found is not None
    assert (found.bot_token, found.bot_refresh_token) == (SECOND, "refresh-1")


async def test_the_install_page_links_to_the_host_of_the_api(
    vault: RedisVault, server: SlackServer, settings: Settings
) -> None:
    async with running(server, settings, vault) as (_, __, events):
        base = events.request_url.removesuffix("/slack/events")
        async with httpx2.AsyncClient() as browser:
            page = await browser.get(f"{base}/slack/install")
    assert f"{server.url}/oauth/v2/authorize?" in page.text


def grant() -> dict[str, Any]:
    """Response of oauth.v2.access."""
    return {
        "access_token": SECOND,
        "token_type": "bot",
        "scope": ",".join(SCOPES),
        "bot_user_id": "UBOT2",
        "app_id": "A1",
        "team": {"id": "T2", "name": "Bolt & Co"},
        "enterprise": None,
        "authed_user": {"id": "U5"},
        "is_enterprise_install": False,
    }


async def install(base: str) -> httpx2.Response:
    """The redirect from Slack with a code."""
    async with httpx2.AsyncClient() as browser:
        page = await browser.get(f"{base}/slack/install")
        (state,) = (item.value for item in SimpleCookie(page.headers["set-cookie"]).values())
        back = f"{base}/slack/oauth_redirect?code=code-1&state={state}"
        return await browser.get(back, headers={"Cookie": f"slack-app-oauth-state={state}"})


def of_second(name: str, **event_changes: Any) -> dict[str, Any]:
    """A recorded payload, of the second workspace."""
    body = slack(name, team="T2", user="U5", **event_changes)
    body["event_id"] = f"Ev{name}{event_changes}"
    body["team_id"] = "T2"
    for authorization in body["authorizations"]:
        authorization |= {"team_id": "T2", "user_id": "UBOT2"}
    return body


def _nobody() -> Any:
    from bot.conversation import Speaker

    return Speaker("U1")
