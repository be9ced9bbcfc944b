"""Checks of `keepthread doctor`."""

from __future__ import annotations

import pytest

from adapters.telegram.adapter import ADAPTER
from adapters.telegram.settings import TelegramSettings
from bot.settings import Settings
from tests.fakes.telegram.server import TelegramServer


async def doctor(settings: Settings, **changes: object) -> dict[str, tuple[str, str, str]]:
    checks = await ADAPTER.check(settings.model_copy(update=changes), TelegramSettings.load())
    return {check.name: (check.state, check.detail, check.cure) for check in checks}


@pytest.fixture
def configured(telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch) -> TelegramServer:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", telegram.token)
    monkeypatch.setenv("TELEGRAM_API_URL", telegram.url)
    return telegram


async def test_doctor_says_that_telegram_is_off(settings: Settings) -> None:
    assert (await doctor(settings))["telegram"][0] == "off"


async def test_doctor_finds_nothing_wrong(settings: Settings, configured: TelegramServer) -> None:
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


async def test_doctor_tells_a_refused_token_from_a_lost_connection(
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
