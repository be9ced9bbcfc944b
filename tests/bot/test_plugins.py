"""Installed adapters: their settings are loaded once, by the core."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from bot.cli.doctor import run_checks
from bot.errors import SettingsError
from bot.plugins import adapters, configured_adapters, local_adapter
from bot.settings import Settings, SettingsBase
from tests.fakes.loopback_platform import Journal, LoopbackPlatform, LoopbackSettings


class CountedSettings(LoopbackSettings):
    """Settings that count how often they are loaded."""

    loads: ClassVar[int] = 0

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        CountedSettings.loads += 1
        return super().load(**overrides)


class WatchedPlatform(LoopbackPlatform):
    """A platform that keeps each settings object it is given."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal, settings_class=CountedSettings)
        self.given: list[SettingsBase] = []

    def is_configured(self, settings: LoopbackSettings) -> bool:
        self.given.append(settings)
        return True

    async def open(self, core: Any, settings: LoopbackSettings) -> Any:
        self.given.append(settings)
        return await super().open(core, settings)


async def test_an_adapters_settings_are_loaded_once_and_passed_to_each_call(tmp_path: Path) -> None:
    platform = WatchedPlatform(Journal(tmp_path / "journal"))
    CountedSettings.loads = 0
    (configured,) = configured_adapters([platform])
    await configured.open(None)  # type: ignore[arg-type]  the loopback platform asks nothing of it
    assert CountedSettings.loads == 1
    assert platform.given == [configured.settings] * 2


def test_adapters_that_are_not_configured_are_named_with_what_switches_them_on(
    settings: Settings,
) -> None:
    with pytest.raises(SettingsError, match="no platform is configured") as caught:
        configured_adapters(adapters().values())
    assert caught.value.cure == (
        "Set TELEGRAM_BOT_TOKEN, or SLACK_BOT_TOKEN with SLACK_APP_TOKEN or SLACK_SIGNING_SECRET; "
        "or talk here: keepthread chat"
    )


def test_the_local_adapter_names_sessions_of_this_machine() -> None:
    session = local_adapter().session_key("work")
    assert session.platform in adapters()
    assert session.thread == ""
    assert "work" in str(session)


async def test_doctor_reports_an_adapters_impossible_setting_and_checks_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.redis_url is not None
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "no token")
    checks = {check.name: check for check in await run_checks()}
    assert checks["telegram"].state == "failed"
    assert "TELEGRAM_BOT_TOKEN" in checks["telegram"].detail
    assert "no token" not in checks["telegram"].detail
    assert checks["slack"].state == "off"
