"""The adapter from outside: settings, doctor, rights, files, menus, errors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import telegram.error as errors
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from telegram import BotCommandScopeAllGroupChats, BotCommandScopeChat
from telegram.error import BadRequest, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut
from telegram.ext import InvalidCallbackData

from adapters.shared.retry import OutcomeUnknown
from adapters.telegram.adapter import ADAPTER
from adapters.telegram.api.client import make_client
from adapters.telegram.api.errors import redact_token, translate_error, was_never_sent
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.command_menu import bot_commands, menus
from adapters.telegram.settings import TelegramSettings
from bot.commands import BUILTIN
from bot.conversation import Address, Attachment, SessionKey, Speaker
from bot.errors import (
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
    SettingsError,
)
from bot.logs import redact
from bot.settings import Settings
from bot.settings.unknown_names import refuse_unknown_names
from tests.adapters.telegram.harness import ANNA, BEN, EVE, GROUP, World, telegram, world
from tests.fakes.telegram.server import BOT_ID, TelegramServer
from tests.support.wait import wait_until

__all__ = ["telegram", "world"]


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TELEGRAM_BOT_TOKEN", "not a token"),
        ("TELEGRAM_API_URL", "api.telegram.org"),
        ("TELEGRAM_WEBHOOK_URL", "ftp://x.example"),
        ("TELEGRAM_WEBHOOK_SECRET", "with blanks"),
        ("TELEGRAM_POLL_S", "51"),
        ("TELEGRAM_STREAMING", "perhaps"),
    ],
)
def test_impossible_settings_are_named_without_their_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        TelegramSettings.load()
    assert name in raised.value.detail
    if "TOKEN" in name or "SECRET" in name:
        assert value not in raised.value.detail


def test_every_setting_is_described_and_a_misspelt_one_is_corrected() -> None:
    assert all(info.description for info in TelegramSettings.model_fields.values())
    with pytest.raises(SettingsError, match="did you mean TELEGRAM_BOT_TOKEN"):
        refuse_unknown_names([Settings, TelegramSettings], {"TELEGRAM_BOT_TOKN": "x"})


def test_the_adapter_is_found_and_costs_nothing_until_it_is_used() -> None:
    code = (
        "import sys; from bot.plugins import adapters; adapters()['telegram'];"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'telegram', 'telegramify_markdown'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_without_a_token_telegram_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ADAPTER.is_configured(TelegramSettings.load())
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "7000:x")
    assert ADAPTER.is_configured(TelegramSettings.load())


# -- doctor --------------------------------------------------------------------------------------


async def doctor(settings: Settings, **changes: object) -> dict[str, tuple[str, str, str]]:
    checks = await ADAPTER.check(settings.model_copy(update=changes), TelegramSettings.load())
    return {one.name: (one.state, one.detail, one.cure) for one in checks}


@pytest.fixture
def configured(telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch) -> TelegramServer:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", telegram.token)
    monkeypatch.setenv("TELEGRAM_API_URL", telegram.url)
    return telegram


async def test_doctor_says_that_telegram_is_off(settings: Settings) -> None:
    assert (await doctor(settings))["telegram"][0] == "off"


async def test_doctor_is_content(settings: Settings, configured: TelegramServer) -> None:
    checks = await doctor(settings, bot_allow=("telegram:41",))
    assert {state for state, _, _ in checks.values()} == {"ok"}
    assert "@keepthread_bot" in checks["telegram"][1]


async def test_doctor_sees_that_nobody_or_everybody_may_talk(
    settings: Settings, configured: TelegramServer
) -> None:
    nobody = (await doctor(settings))["telegram rights"]
    assert nobody[0] == "warning"
    assert "BOT_ALLOW" in nobody[2]
    everybody = (await doctor(settings, bot_allow=("telegram:*",)))["telegram rights"]
    assert "everybody" in everybody[1]


async def test_doctor_sees_that_names_let_nobody_in(
    settings: Settings, configured: TelegramServer
) -> None:
    listed = ("telegram:41", "telegram:@anna", "telegram:-100123", "telegram:7000/-100123")
    state, detail, cure = (await doctor(settings, bot_allow=listed))["telegram rights"]
    assert (state, detail.split()[0], "the id" in cure) == ("warning", "telegram:@anna", True)
    listed = tuple(one for one in listed if "@" not in one)
    assert (await doctor(settings, bot_allow=listed))["telegram rights"][0] == "ok"


async def test_doctor_knows_a_refused_token_and_a_dead_line(
    settings: Settings, configured: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "7000:wrong")
    state, detail, cure = (await doctor(settings))["telegram"]
    assert (state, "@BotFather" in cure) == ("failed", True)
    assert "wrong" not in detail
    await configured.stop()
    state, detail, cure = (await doctor(settings))["telegram"]
    assert (state, "reachable" in cure) == ("failed", True)
    await configured.start()


async def test_doctor_sees_a_webhook_in_the_way_and_a_webhook_that_fails(
    settings: Settings, configured: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured.webhook = {"url": "https://elsewhere.example/"}
    assert "a webhook is set" in (await doctor(settings))["telegram transport"][1]
    monkeypatch.setenv("TELEGRAM_WEBHOOK_URL", "https://mine.example")
    assert "another webhook" in (await doctor(settings))["telegram transport"][1]
    configured.webhook = {"url": "https://mine.example/telegram", "last_error_message": "timed out"}
    state, detail, cure = (await doctor(settings))["telegram transport"]
    assert (state, "timed out" in detail, "/telegram" in cure) == ("warning", True, True)


# -- rights and files ----------------------------------------------------------------------------


def address(chat: int) -> Address:
    key = SessionKey("telegram", str(BOT_ID), str(chat))
    return Address(key, "private" if chat > 0 else "group")


@pytest.mark.parametrize(
    ("chat", "speaker", "is_admin"),
    [
        (GROUP, ANNA, True),
        (GROUP, BEN, False),
        (GROUP, EVE, False),
        (GROUP, GROUP, True),
        (GROUP, -1009, False),
        (ANNA, ANNA, False),
    ],
)
async def test_administrators_are_those_of_the_very_group(
    world: World, chat: int, speaker: int, is_admin: bool
) -> None:
    assert await world.connection.is_admin(address(chat), Speaker(str(speaker))) is is_admin


async def test_administrators_of_a_group_that_is_gone_cannot_be_asked_for(
    world: World,
) -> None:
    world.telegram.chat(GROUP).gone = "bot was kicked from the supergroup chat"
    with pytest.raises(PlaceGone):
        await world.connection.is_admin(address(GROUP), Speaker(str(BEN)))


async def test_a_file_is_fetched_and_what_cannot_be_is_said(world: World) -> None:
    def attachment(reference: str, size_bytes: int | None = None) -> Attachment:
        return Attachment("document", "f", reference=reference, size_bytes=size_bytes)

    good = world.telegram.upload("f.txt", b"content")
    assert await world.connection.download(address(ANNA), attachment(good)) == b"content"
    with pytest.raises(PlatformError, match="larger than"):
        await world.connection.download(address(ANNA), attachment(good, 21 * 1024 * 1024))
    world.telegram.file_limit = 3
    with pytest.raises(PlatformError, match="too big"):
        await world.connection.download(address(ANNA), attachment(good))
    with pytest.raises(PlatformError):
        await world.connection.download(address(ANNA), attachment("gone"))


async def test_a_file_of_a_bot_api_server_on_this_machine_is_read_from_its_disk(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "voice.ogg"
    path.write_bytes(b"from the disk")
    world.telegram.local_files["v"] = str(path)
    got = await world.connection.download(address(ANNA), Attachment("audio", "v", reference="v"))
    assert got == b"from the disk"
    assert not any(name == "file" for name, _ in world.telegram.calls)


async def test_health_follows_the_line(world: World) -> None:
    await wait_until(lambda: world.connection.health().ready)
    await world.telegram.stop()
    await wait_until(lambda: "cannot be reached" in world.connection.health().detail)
    await world.telegram.start()
    world.telegram.say(ANNA, ANNA, "hello")
    await wait_until(lambda: world.connection.health().ready)


# -- menus ---------------------------------------------------------------------------------------


def test_admins_of_the_bot_see_all_commands_in_their_own_chat() -> None:
    found = menus(BUILTIN, ("telegram:41", "slack:T1/U1", "telegram:*"))
    chats = [scope for scope, _ in found if isinstance(scope, BotCommandScopeChat)]
    assert [scope.chat_id for scope in chats] == [41]
    members = next(
        specs for scope, specs in found if isinstance(scope, BotCommandScopeAllGroupChats)
    )
    assert not any(one.admin_in_shared for one in members)
    assert all(
        1 <= len(one.description) <= 256 for _, specs in found for one in bot_commands(specs)
    )


# -- errors --------------------------------------------------------------------------------------

SAMPLES = {
    errors.BadRequest: BadRequest("x"),
    errors.ChatMigrated: errors.ChatMigrated(-5),
    errors.Conflict: errors.Conflict("x"),
    errors.EndPointNotFound: errors.EndPointNotFound("x"),
    errors.Forbidden: Forbidden("bot was blocked by the user"),
    errors.InvalidToken: InvalidToken("x"),
    errors.NetworkError: NetworkError("x"),
    errors.PassportDecryptionError: errors.PassportDecryptionError("x"),
    errors.RetryAfter: RetryAfter(5),
    errors.TelegramError: errors.TelegramError("x"),
    errors.TimedOut: TimedOut("x"),
}


def test_every_error_of_the_sdk_is_in_the_table() -> None:
    def kinds(kind: type[errors.TelegramError]) -> set[type[errors.TelegramError]]:
        return {kind}.union(*(kinds(one) for one in kind.__subclasses__()))

    # Callback data kept by the SDK, which we do not use.
    unused = {InvalidCallbackData}
    assert kinds(errors.TelegramError) - unused == set(SAMPLES)
    ours = {kind.__name__: type(translate_error(error)) for kind, error in SAMPLES.items()}
    assert ours == {
        "BadRequest": PlatformError,
        "ChatMigrated": PlaceGone,
        "Conflict": PlatformRefused,
        "EndPointNotFound": PlatformRefused,
        "Forbidden": PlaceGone,
        "InvalidToken": PlatformRefused,
        "NetworkError": PlatformUnreachable,
        "PassportDecryptionError": PlatformError,
        "RetryAfter": PlatformBusy,
        "TelegramError": PlatformError,
        "TimedOut": OutcomeUnknown,
    }


@pytest.mark.parametrize(
    ("cause", "again"),
    [
        (httpx.ConnectError("x"), True),
        (httpx.ConnectTimeout("x"), True),
        (httpx.PoolTimeout("x"), True),
        (httpx.ReadError("x"), False),
        (httpx.RemoteProtocolError("x"), False),
    ],
)
def test_only_what_was_surely_not_sent_may_come_again(cause: Exception, again: bool) -> None:
    error = NetworkError("x")
    error.__cause__ = cause
    assert was_never_sent(error) is again


def test_neither_a_bad_request_nor_a_time_out_may_come_again_blindly() -> None:
    assert not isinstance(translate_error(BadRequest("x")), PlatformUnreachable)
    assert not was_never_sent(TimedOut("x"))
    assert was_never_sent(NetworkError("Bad Gateway"))


@given(st.integers(1, 10**10), st.text("ABCdef-_019", min_size=6, max_size=40))
def test_no_token_survives_in_words(number: int, rest: str) -> None:
    token = f"{number}:{rest}"
    words = redact_token(f"POST https://api.telegram.org/bot{token}/sendMessage failed")
    assert token not in words


def test_the_logs_redact_a_token_within_an_address() -> None:
    token = "123456789:" + "AbC_dE-" * 5
    assert token not in redact(f"https://api.telegram.org/bot{token}/getMe")


# -- the whole bot's budget ----------------------------------------------------------------------


async def test_all_chats_together_stay_below_thirty_messages_a_second(
    telegram: TelegramServer,
) -> None:
    settings = TelegramSettings.load(
        telegram_bot_token=SecretStr(telegram.token), telegram_api_url=telegram.url
    )
    client, request = make_client(settings, RateLimiter(0.02, 500))
    for id_ in range(100, 140):
        telegram.person(id_, str(id_))
    telegram.flood.overall_per_second = 30
    await asyncio.gather(*(client.send_message(id_, "hi") for id_ in range(100, 140)))
    assert telegram.flood.refused == 0
    assert all(telegram.texts(id_) == ["hi"] for id_ in range(100, 140))
    await request.shutdown()
